/**
 * How does a group begin, and how does it get new members? A service that cannot be replicated is refused at once; one
 * that ran is tried again and again, at a bounded rate; nobody waits for a slow start longer than needed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { active, EACH, effects, named, recovers, requests, whole } from './testing/scenario.ts';
import { World } from './testing/world.ts';

for (const faults of EACH) {
  const f = `f = ${faults}`;
  const size = 2 * faults + 2;
  const number = (id: string): number => Number(id.slice(1));

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

  void test(`P5: ${f}, when fewer than f+1 are left that agree on the start, it is given up, not waited for ever`, () => {
    // Every second one comes up, so that there are never f+1 failures in a row.
    const fails = (id: string): boolean =>
      number(id) >= size || number(id) % 2 === 0 || number(id) > 2 * faults - 2;
    const world = new World({
      faults,
      behaviour: (id) => ({
        failsToStart: fails(id),
        startMs: number(id) < size ? 20 + 10 * number(id) : 9000,
      }),
    });
    world.until('it is given up', () => world.halted !== null, 5000);
    assert.equal(world.halted, 'start-failed');
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

  void test(`P7: ${f}, those that start but never get ready are tried ever more seldom, too`, () => {
    const world = whole(faults);
    world.crash(active(world).id);
    const before = effects(world, 'start').length;
    for (const end = world.now + 60_000; world.now < end; world.run(10)) {
      for (const { id, phase } of world.core.replicas.all()) if (phase === 'joining') world.crash(id);
    }
    const tries = effects(world, 'start').length - before;
    assert.ok(tries < 16 * (faults + 1), `${tries} starts in a minute`);
    recovers(world);
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
