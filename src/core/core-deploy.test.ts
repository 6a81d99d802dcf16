/**
 * Does a new version take over at one entry, all of it or nothing: no entry lost, executed twice, or voted on by both? And when
 * something fails meanwhile, old or new?
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replicaId, type ReplicaId } from './ids.ts';
import type { World } from './testing/world.ts';
import {
  active,
  EACH,
  effects,
  named,
  passive,
  recovers,
  requests,
  settled,
  whole,
} from './testing/scenario.ts';

function ids(world: World): ReplicaId[] {
  return [...world.core.group.members()].map(({ replica }) => replica);
}

/** Of what was started since: which version, by name. */
function versions(world: World): Map<ReplicaId, number> {
  return new Map(effects(world, 'start').map(({ replica, version }) => [replica, version]));
}

/** Runs until it has taken over or failed, with requests all along. */
function deploy(world: World, meanwhile: (ms: number) => void = () => {}): void {
  world.tell({ type: 'deploy', variants: 2 });
  for (let ms = 0; ms < 10_000 && effects(world, 'succeeded').length === 0; ms += 10) {
    if (effects(world, 'succession-failed').length > 0) return;
    requests(world, 1);
    meanwhile(ms);
    world.run(10);
  }
}

for (const faults of EACH) {
  const f = `f = ${faults}`;

  void test(`P2 P3 S2: ${f}, a new version takes over under load: all answered, nobody suspected, none of the old ones left`, () => {
    const world = whole(faults);
    const old = ids(world);
    world.trace = [];
    deploy(world);
    settled(world);
    assert.deepEqual(effects(world, 'succeeded'), [{ type: 'succeeded', version: 1 }]);
    assert.ok(ids(world).every((id) => !old.includes(id)));
    assert.ok(
      old.every((id) => !world.replicas.has(id)),
      'all old ones are destroyed',
    );
    assert.equal(world.role('active').length, faults + 1);
    assert.equal(world.role('passive').length, faults + 1);
    assert.ok([...versions(world).values()].every((version) => version === 1));
    assert.equal(versions(world).size, 2 * faults + 2);
    assert.deepEqual(named(world), []);
    recovers(world);
  });

  void test(`S2 N1: ${f}, a new version takes over only when the rotation that is under way is over`, () => {
    const world = whole(faults, { core: { requestTimeoutMs: 5000 } });
    world.trace = [];
    for (const { behaviour } of world.role('passive')) behaviour.fillMs = 1000;
    world.tell({ type: 'rotate', replica: replicaId(active(world).id) });
    deploy(world);
    settled(world);
    const commands = effects(world, 'append-command').map(({ command }) => command.type);
    const order = commands.filter((type) => ['rotate', 'promote', 'retire', 'succeed'].includes(type));
    assert.deepEqual(order, ['rotate', 'promote', 'retire', 'succeed', 'retire']);
    assert.deepEqual(named(world), []);
  });

  void test(`P1 S1: ${f}, no entry is executed by both versions`, () => {
    const world = whole(faults);
    world.trace = [];
    deploy(world);
    requests(world, 5);
    settled(world);
    const version = versions(world);
    const [before, after] = [new Set<number>(), new Set<number>()];
    for (const { replica, index } of effects(world, 'execute'))
      (version.get(replica) === 1 ? after : before).add(index);
    assert.ok(before.size > 0 && after.size > 0);
    assert.ok(Math.max(...before) < Math.min(...after));
  });

  void test(`P5 S2: ${f}, one of the new version fails: all of it goes, the old group has noticed nothing`, () => {
    const world = whole(faults);
    const old = ids(world);
    world.trace = [];
    let crashed = false;
    deploy(world, () => {
      const last = [...versions(world).keys()].at(-1);
      if (crashed || versions(world).size < faults + 2 || last === undefined) return;
      crashed = true;
      world.crash(last);
    });
    settled(world);
    assert.ok(crashed);
    assert.equal(effects(world, 'succession-failed').length, 1);
    assert.deepEqual(ids(world), old);
    assert.deepEqual([...world.replicas.keys()], old);
    assert.equal(named(world).length, 1);
    world.trace = [];
    deploy(world);
    settled(world);
    assert.equal(effects(world, 'succeeded').length, 1, 'the next attempt works');
  });

  void test(`P5 P6: ${f}, an old one fails while the new version starts: repaired, and the new version takes over`, () => {
    for (const role of ['active', 'passive'] as const) {
      const world = whole(faults);
      const victim = role === 'active' ? active(world).id : passive(world).id;
      world.trace = [];
      deploy(world, (ms) => {
        if (ms === 30) world.crash(victim);
      });
      settled(world);
      assert.equal(effects(world, 'succeeded').length, 1);
      assert.deepEqual(named(world), [`${victim} crash`]);
      recovers(world);
    }
  });

  void test(`P5: ${f}, one of either version fails just when the new one takes over: all is answered`, () => {
    for (const which of ['old', 'new'] as const) {
      const world = whole(faults);
      const old = active(world).id;
      world.trace = [];
      deploy(world);
      requests(world, 3);
      world.crash(which === 'old' ? old : active(world).id);
      requests(world, 3);
      settled(world);
      assert.ok(!world.replicas.has(old));
      recovers(world);
    }
  });
}

void test('P5 S2: one of the new version fails while its `succeed` is on its way: it is a member, and replaced', () => {
  const world = whole(1, { appendMs: () => 40 });
  world.trace = [];
  let crashed: ReplicaId | null = null;
  deploy(world, () => {
    const asked = effects(world, 'append-command').find(({ command }) => command.type === 'succeed');
    if (crashed !== null || asked?.command.type !== 'succeed') return;
    crashed = asked.command.members[0]?.replica ?? null;
    if (crashed !== null) world.crash(crashed);
  });
  settled(world);
  assert.equal(effects(world, 'succeeded').length, 1);
  assert.deepEqual(named(world), [`${crashed} crash`]);
  assert.ok(crashed !== null && !ids(world).includes(crashed));
  recovers(world);
});

void test('P6: after a deploy replacements are of the new version, and of its variants', () => {
  const world = whole(1, { core: { variants: 4 } });
  world.trace = [];
  deploy(world);
  settled(world);
  for (let i = 0; i < 4; i++) {
    world.crash(active(world).id);
    settled(world);
  }
  assert.ok([...versions(world).values()].every((version) => version === 1));
  assert.ok(effects(world, 'start').every(({ variant }) => variant < 2));
});

void test('P2: a deploy, done or under way when everything is killed, leaves no trace but the state', () => {
  for (const done of [true, false]) {
    const world = whole(1);
    world.trace = [];
    world.tell({ type: 'deploy', variants: 2 });
    requests(world, 5);
    if (done) deploy(world);
    world.kill();
    world.until('the group is whole', () => world.whole);
    recovers(world);
    assert.equal(world.core.succession.version, 0);
  }
});

for (const faults of EACH) {
  void test(`P5 S1: f = ${faults}, f+1 old ones are left, no other starts, one fails: the new version takes over, and answers all`, () => {
    for (const way of ['crash', 'lie'] as const) {
      for (const failsAt of [0, 30]) {
        let startable = true;
        const world: World = whole(faults, {
          behaviour: (id) => ({ failsToStart: !startable && versions(world).get(id) === 0 }),
        });
        startable = false;
        world.trace = [];
        world.crash(active(world).id);
        world.until('f+1 go on', () => !world.core.view().suspicion && world.core.group.size === faults + 1);
        const fail = (): void => {
          const { id, behaviour } = active(world);
          if (way === 'lie') behaviour.lie = 'reply';
          else world.crash(id);
          requests(world, 5);
        };
        if (failsAt === 0) {
          fail();
          world.run(5000);
          assert.ok(!world.answered, 'they wait for help');
        }
        deploy(world, (ms) => {
          if (ms === failsAt && ms > 0) fail();
        });
        settled(world);
        assert.equal(effects(world, 'succeeded').length, 1);
        recovers(world);
      }
    }
  });
}

for (const faults of [2, 3]) {
  void test(`P5 S1: f = ${faults}, too few old ones are left to agree that they do not agree, no other starts: the new version takes over`, () => {
    let startable = true;
    const world: World = whole(faults, {
      behaviour: (id) => ({ failsToStart: !startable && versions(world).get(id) === 0 }),
    });
    startable = false;
    world.trace = [];
    for (let lost = 0; lost < 2; lost++) world.crash(passive(world).id);
    world.until('2f go on', () => world.core.group.size === 2 * faults);
    const odd = world.request('random');
    world.run(5000);
    assert.ok(!world.answered, 'it waits for help');
    deploy(world);
    recovers(world);
    assert.equal(effects(world, 'succeeded').length, 1);
    assert.equal(odd.outcome, 'skipped no-agreement');
  });
}
