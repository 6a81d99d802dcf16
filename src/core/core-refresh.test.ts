/**
 * Do suspended replicas stay cheap and right: brought up to a mark one after another, compared, put back to sleep? Is what
 * is kept (order, updates, checkpoint) bounded, and never dropped too early?
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replicaId } from './ids.ts';
import type { Replica } from './testing/replica.ts';
import type { World } from './testing/world.ts';
import {
  active,
  blame,
  EACH,
  effects,
  named,
  passive,
  recovers,
  refreshEvery,
  requests,
  settled,
  whole,
} from './testing/scenario.ts';

/** Takes longer to bring somewhere than a request may take, or a start. */
const LARGE = 100 * 1024 ** 2;

/** Writes until a refresh has ended. */
function refresh(world: World): void {
  const before = effects(world, 'refreshed').length;
  const ended = (): boolean => effects(world, 'refreshed').length > before;
  for (let i = 0; i < 20 && !ended(); i++) {
    requests(world, 4);
    world.run(50);
  }
  assert.ok(ended(), 'a refresh has ended');
}

for (const faults of EACH) {
  const f = `f = ${faults}`;

  void test(`P4: ${f}, refresh: one after another is woken, gets to the mark, has its digest, sleeps again`, () => {
    const world = whole(faults, { core: refreshEvery(10) });
    world.trace = [];
    refresh(world);
    settled(world);
    const order = effects(world, 'truncate-order');
    const mark = Number(order[0]?.through);
    assert.equal(world.truth.kind(mark), 'mark');
    const moves = world.trace.filter(({ type }) => type === 'resume' || type === 'suspend');
    const sleepers = world.role('passive').map(({ id }) => id);
    assert.deepEqual(
      moves.map((move) => ('replica' in move ? `${move.type} ${move.replica}` : '')),
      sleepers.flatMap((id) => [`resume ${id}`, `suspend ${id}`]),
    );
    for (const replica of world.role('passive')) assert.equal(replica.at, mark);
    assert.equal(effects(world, 'refreshed')[0]?.through, mark);
    assert.deepEqual(named(world), []);
  });

  void test(`P2 P7: ${f}, f+1 equal exports are a checkpoint; order and updates before it are let go, not earlier`, () => {
    const world = whole(faults, { core: refreshEvery(10) });
    for (let i = 0; i < 3; i++) refresh(world);
    settled(world);
    const { checkpoint, updates, entries } = world.disk;
    assert.ok(checkpoint.index > 0);
    assert.equal(checkpoint.state, world.truth.state(checkpoint.index));
    assert.ok([...updates.keys()].every((at) => at > checkpoint.index));
    assert.ok([...entries.keys()].every((at) => at === 0 || at > checkpoint.index));
    assert.ok(effects(world, 'checkpoint').length >= 3);
  });

  for (const appendMs of [0, 50]) {
    void test(`P4 P6: ${f}, a passive replica with another digest is named and replaced (${appendMs} ms)`, () => {
      const world = whole(faults, { core: refreshEvery(10), appendMs: () => appendMs });
      const victim = passive(world, faults);
      victim.behaviour.lie = 'digest';
      refresh(world);
      assert.deepEqual(effects(world, 'checkpoint'), [], 'what it exports does not count');
      recovers(world);
      assert.deepEqual(named(world), blame([victim, 'state']));
    });
  }

  void test(`P6 P7: ${f}, one that exports something else holds up no checkpoint for long: it is found`, () => {
    const world = whole(faults, { core: refreshEvery(10) });
    const liar = passive(world, faults);
    liar.behaviour.lie = 'export';
    refresh(world);
    settled(world);
    assert.deepEqual(effects(world, 'checkpoint'), [], 'f equal exports are none');
    assert.ok(world.disk.updates.size > 5, 'nothing is let go');
    for (let i = 0; i <= faults; i++) {
      refresh(world);
      settled(world);
    }
    assert.ok(named(world).includes(`${liar.id} state`));
    refresh(world);
    settled(world);
    assert.ok(effects(world, 'checkpoint').length > 0);
  });

  void test(`P5 P6: ${f}, a passive replica that does not wake for its refresh is late; the others are refreshed`, () => {
    const world = whole(faults, { core: refreshEvery(10) });
    const hung = passive(world);
    hung.behaviour.hung = true;
    requests(world, 16);
    recovers(world);
    assert.deepEqual(named(world), blame([hung, 'late']));
    assert.equal(effects(world, 'refreshed').length, 1);
  });

  void test(`P6: ${f}, a passive replica that crashes in its refresh: the round ends with the others`, () => {
    const world = whole(faults, { core: refreshEvery(10) });
    const victim = passive(world);
    victim.behaviour.hung = true;
    requests(world, 16);
    world.run(100);
    world.crash(victim.id);
    recovers(world);
    assert.deepEqual(named(world), blame([victim, 'crash']));
    assert.equal(effects(world, 'refreshed').length, 1);
  });

  void test(`P4 P5: ${f}, a suspicion interrupts a refresh: the woken one owes a digest and an export first`, () => {
    const world = whole(faults, { core: refreshEvery(10) });
    const refreshed = passive(world);
    refreshed.behaviour.hung = true;
    requests(world, 16);
    world.run(100);
    active(world).behaviour.lie = 'reply';
    const liar = active(world);
    requests(world, 3);
    world.run(30);
    refreshed.behaviour.hung = false;
    recovers(world);
    assert.deepEqual(named(world), blame([liar, 'reply']));
    refresh(world);
    settled(world);
    assert.equal(effects(world, 'checkpoint').length, 1, 'the interrupted round gave none');
  });

  void test(`P5: ${f}, one that exports a large state gets the time for it`, () => {
    const world = whole(faults, { core: refreshEvery(10), behaviour: () => ({ stateBytes: LARGE }) });
    // The size is known from those before it.
    const slow = passive(world, faults);
    slow.behaviour.stateMs = 4000;
    requests(world, 16);
    world.until('exported', () => effects(world, 'checkpoint').length > 0, 15_000);
    settled(world);
    assert.deepEqual(named(world), []);
  });

  /** The last passive one exports, and the disk takes nothing. Those that come after take long to start. */
  function stalled(): { world: World; slow: Replica; pause: (paused: boolean) => void } {
    let startMs = 20;
    const world = whole(faults, {
      core: refreshEvery(10),
      behaviour: () => ({ startMs, stateBytes: LARGE }),
    });
    startMs = 27_800;
    const slow = passive(world, faults);
    slow.behaviour.stateMs = 4000;
    requests(world, 16);
    world.run(1000);
    const pause = (paused: boolean): void => {
      slow.paused = paused;
      world.tell({ type: 'paused', replica: replicaId(slow.id), paused });
    };
    pause(true);
    return { world, slow, pause };
  }

  void test(`P6: ${f}, one whose export waits for the disk is not late, however long that takes`, () => {
    const { world, pause } = stalled();
    world.run(60_000);
    pause(false);
    world.until('exported', () => effects(world, 'checkpoint').length > 0, 15_000);
    settled(world);
    assert.deepEqual(named(world), []);
  });

  void test(`P5: ${f}, one whose export waits for the disk is waited for when its vote is needed`, () => {
    const { world, pause } = stalled();
    const lost = world.role('passive').slice(0, faults);
    for (const { id } of lost) world.crash(id);
    const liar = active(world);
    liar.behaviour.lie = 'reply';
    requests(world, 1);
    world.run(27_500);
    pause(false);
    world.run(30_000);
    settled(world);
    const crashes = lost.map((each) => [each, 'crash'] as const);
    assert.deepEqual(named(world), blame([liar, 'reply'], ...crashes));
  });

  void test(`P6: ${f}, one that exports no further when the disk is ready again is late`, () => {
    const { world, slow, pause } = stalled();
    slow.behaviour.hung = true;
    world.run(60_000);
    pause(false);
    world.run(20_000);
    assert.deepEqual(named(world), []);
    world.run(10_000);
    assert.deepEqual(named(world), blame([slow, 'late']));
  });

  void test(`P5: ${f}, one that exports a large state is waited for when its vote is needed`, () => {
    let startMs = 20;
    const world = whole(faults, {
      core: refreshEvery(10),
      behaviour: () => ({ startMs, stateBytes: LARGE }),
    });
    const slow = passive(world, faults);
    slow.behaviour.stateMs = 4000;
    requests(world, 16);
    world.run(1000);
    startMs = 9000;
    const lost = world.role('passive').slice(0, faults);
    for (const { id } of lost) world.crash(id);
    const liar = active(world);
    liar.behaviour.lie = 'reply';
    requests(world, 1);
    recovers(world);
    const crashes = lost.map((each) => [each, 'crash'] as const);
    assert.deepEqual(named(world), blame([liar, 'reply'], ...crashes));
  });

  void test(`P5: ${f}, one that is woken while it exports keeps nobody waiting where f+1 others can answer`, () => {
    const world = whole(faults, { core: refreshEvery(10), behaviour: () => ({ stateBytes: LARGE }) });
    const slow = passive(world);
    slow.behaviour.stateMs = 4000;
    requests(world, 16);
    world.run(1000);
    const lost = world.role('active').slice(0, faults);
    // Nothing is asked meanwhile by which it would show who is ready.
    for (const { id } of lost) world.crash(id);
    world.run(50);
    requests(world, 5);
    world.until('answered', () => world.answered, 100);
    recovers(world);
    assert.deepEqual(named(world), blame(...lost.map((each) => [each, 'crash'] as const)));
  });

  void test(`P7: ${f}, without any passive replica the memory of updates is still let go`, () => {
    let hung = false;
    const world = whole(faults, { core: refreshEvery(10), behaviour: () => ({ hung }) });
    hung = true;
    for (const replica of world.role('passive')) world.crash(replica.id);
    requests(world, 20);
    world.run(200);
    assert.equal(world.role('passive').length, 0);
    assert.ok(effects(world, 'refreshed').length > 0);
  });
}
