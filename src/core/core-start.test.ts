/**
 * How does a group begin, and how does it get new members? A service that cannot be replicated is refused at once; one
 * that ran is tried again and again, at a bounded rate; nobody waits for a slow start longer than needed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  active,
  blame,
  EACH,
  effects,
  named,
  passive,
  recovers,
  requests,
  settled,
  whole,
} from './testing/scenario.ts';
import type { Behaviour } from './testing/replica.ts';
import { World } from './testing/world.ts';

for (const faults of EACH) {
  const f = `f = ${faults}`;
  const size = 2 * faults + 2;
  const number = (id: string): number => Number(id.slice(1));

  /**
   * A group of which `faults` active replicas start so, and the others otherwise: at first, or also after a kill, before which it was
   * whole within that time.
   */
  function starting(
    when: 'at first' | 'after a kill',
    some: Partial<Behaviour>,
    others: Partial<Behaviour>,
    wholeMs: number,
  ): World {
    let first = 0;
    const behaviour = (id: string): Partial<Behaviour> =>
      number(id) >= first && number(id) < first + faults ? some : others;
    const core = { startTimeoutMs: 180_000, requestTimeoutMs: 30_000 };
    const world = new World({ faults, core, behaviour });
    if (when === 'at first') return world;
    world.until('whole', () => world.whole, wholeMs);
    first = world.disk.nextReplica;
    world.kill();
    return world;
  }

  void test(`P5: ${f}, a service that does not start is given up`, () => {
    const world = new World({ faults, behaviour: () => ({ failsToStart: true }) });
    world.until('it is given up', () => world.halted !== null);
    assert.equal(world.halted, 'start-failed');
    world.run(30_000);
    assert.ok(effects(world, 'start').length <= size + faults + 1, 'and not tried any more');
  });

  void test(`P5: ${f}, f that do not start are replaced, and the group runs`, () => {
    const world = whole(faults, { behaviour: (id) => ({ failsToStart: number(id) < faults }) });
    recovers(world);
    assert.equal(world.halted, null);
    assert.equal(world.incidents.length, faults);
  });

  void test(`P5: ${f}, a service that starts differently each time is given up`, () => {
    const world = new World({ faults, behaviour: () => ({ lie: 'update' }) });
    world.until('it is given up', () => world.halted !== null);
    assert.equal(world.halted, 'start-differs');
  });

  // In the order in which they come up: never f+1 failures in a row, but fewer than f+1 successes.
  const comeUp = ['', '', 'FFSFFS', 'FFSFFSFS'][faults] ?? '';
  if (comeUp !== '') {
    void test(`P5: ${f}, when too few are left to agree on the start, it is given up, not waited for ever`, () => {
      const behaviour = (id: string): Partial<Behaviour> => ({
        failsToStart: comeUp[number(id)] === 'F',
        startMs: number(id) < size ? 20 + 20 * number(id) : 2900,
      });
      const world = new World({ faults, behaviour });
      world.until('it is given up', () => world.halted !== null, 2000);
      assert.equal(world.halted, 'start-failed');
    });
  }

  void test(`P5: ${f}, failed starts between good ones are no reason to give up`, () => {
    // f+1 fail, never one after another.
    const behaviour = (id: string): Partial<Behaviour> => ({
      failsToStart: number(id) < size && number(id) % 2 === 0,
      startMs: 20 + 20 * (number(id) % size),
    });
    const world = whole(faults, { behaviour });
    recovers(world);
    assert.equal(world.halted, null);
  });

  void test(`P1: ${f}, a replacement has no say on the start: only who began with it has`, () => {
    const slow = (id: string): boolean => number(id) > faults && number(id) < size;
    const world = new World({
      faults,
      behaviour: (id) => ({ failsToStart: id === 'r0', startMs: slow(id) ? 900 : 20 }),
    });
    settled(world);
    assert.equal(world.halted, null);
  });

  void test(`P5: ${f}, an active one that comes up late wakes nobody`, () => {
    const world = new World({ faults, behaviour: (id) => ({ startMs: id === 'r0' ? 900 : 20 }) });
    world.run(200);
    requests(world, 3);
    settled(world);
    assert.equal(effects(world, 'resume').length, 0);
    assert.deepEqual(named(world), []);
  });

  void test(`P6: ${f}, one whose start writes something else is named and replaced`, () => {
    const world = whole(faults, { behaviour: (id) => ({ lie: id === 'r0' ? 'update' : null }) });
    recovers(world);
    assert.deepEqual(named(world), ['r0 update']);
  });

  void test(`P5 P7: ${f}, one that hangs in its start holds up neither answers nor what is let go`, () => {
    const world = new World({ faults, behaviour: (id) => ({ hung: id === `r${faults + 1}` }) });
    world.run(200);
    requests(world, 10);
    world.run(500);
    assert.ok(world.answered);
    assert.deepEqual(world.leftovers, []);
    recovers(world);
    assert.deepEqual(named(world), [`r${faults + 1} late`]);
  });

  void test(`P5: ${f}, a start has the time that a large state takes to get there`, () => {
    const world = whole(faults, {
      core: { stateBytes: 100 * 1024 ** 2 },
      behaviour: () => ({ stateMs: 4000 }),
    });
    const victim = active(world);
    world.crash(victim.id);
    recovers(world);
    assert.deepEqual(named(world), blame([victim, 'crash']));
  });

  void test(`P5: ${f}, active ones that hang in their start are not waited for to the end`, () => {
    const world = new World({
      faults,
      core: { startTimeoutMs: 60_000 },
      behaviour: (id) => ({ hung: number(id) < faults }),
    });
    world.run(200);
    requests(world, 10);
    world.until('answered', () => world.answered, 3000);
  });

  for (const when of ['at first', 'after a kill'] as const) {
    void test(`P5: ${f}, ${when}, active ones that hang in their start keep nobody from being served`, () => {
      const world = starting(when, { hung: true }, {}, 10_000);
      // Nobody asks for anything before it is served.
      world.until('f+1 execute', () => world.core.replicas.count('running') > faults, 3000);
      recovers(world);
      assert.deepEqual(named(world), []);
    });

    void test(`P5: ${f}, ${when}, an active one that takes less than twice as long as others wakes nobody`, () => {
      const world = starting(when, { startMs: 15_000, fillMs: 50 }, { startMs: 10_000, fillMs: 50 }, 30_000);
      world.until('f+1 execute', () => world.core.replicas.count('running') > faults, 16_000);
      recovers(world);
      assert.equal(effects(world, 'resume').length, 0);
    });
  }

  void test(`P5 P7: ${f}, once it ran, starts that fail are tried again, ever more seldom, and not given up`, () => {
    let broken = false;
    const world = whole(faults, { behaviour: () => ({ failsToStart: broken }) });
    broken = true;
    world.crash(active(world).id);
    requests(world, 5);
    const before = effects(world, 'start').length;
    world.run(120_000);
    assert.ok(world.answered, 'f+1 are left');
    const tries = effects(world, 'start').length - before;
    assert.ok(tries >= 5 && tries < 16 * (faults + 1), `${tries} starts in two minutes`);
    broken = false;
    world.run(31_000);
    recovers(world);
    assert.equal(world.halted, null);
  });

  void test(`P5: ${f}, once it is told that starts may work again, none is waited for`, () => {
    let broken = false;
    const world = whole(faults, { behaviour: () => ({ failsToStart: broken }) });
    broken = true;
    world.crash(active(world).id);
    world.run(120_000);
    broken = false;
    world.tell({ type: 'startable' });
    world.until('whole', () => world.whole, 3000);
  });

  void test(`P7: ${f}, those that start but never get ready are tried ever more seldom, too`, () => {
    let failsToFill = false;
    const world = whole(faults, { behaviour: () => ({ failsToFill }) });
    failsToFill = true;
    world.crash(active(world).id);
    const before = effects(world, 'start').length;
    world.run(120_000);
    const tries = effects(world, 'start').length - before;
    assert.ok(tries >= 5 && tries < 16 * (faults + 1), `${tries} starts in two minutes`);
    failsToFill = false;
    world.run(31_000);
    recovers(world);
    // What was before is forgotten: one failure is no reason to wait long.
    const broken = active(world);
    failsToFill = true;
    world.crash(broken.id);
    world.run(100);
    failsToFill = false;
    world.until('whole', () => world.whole, 3000);
  });

  void test(`P6: ${f}, a replacement is ready before its join is ordered, and is not blamed for the wait`, () => {
    let appendMs = 0;
    const world = whole(faults, { appendMs: () => appendMs });
    const dead = passive(world);
    appendMs = 4000;
    world.crash(dead.id);
    world.run(20_000);
    assert.deepEqual(named(world), blame([dead, 'crash']));
    assert.ok(world.whole);
  });

  void test(`P6: ${f}, a replacement is of the variant with the fewest faults`, () => {
    const world = whole(faults, { behaviour: (_, variant) => ({ lie: variant === 1 ? 'reply' : null }) });
    recovers(world);
    world.crash(active(world).id);
    recovers(world);
    const replacements = effects(world, 'start').slice(size);
    assert.ok(replacements.length > 0 && replacements.every(({ variant }) => variant !== 1));
    const victim = world.incidents.find(({ kind }) => kind === 'reply');
    assert.equal(victim?.replica, 'r1');
  });
}
