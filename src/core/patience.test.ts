/** Can a replica slow all clients down by staying just within every deadline? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { active, blame, EACH, named, recovers, requests, settled, whole } from './testing/scenario.ts';

const patience = { graceMs: 20, overtimeMs: 500 };
const deadline = { floorMs: 100, ceilingMs: 200, factor: 20 };

for (const faults of EACH) {
  const f = `f = ${faults}`;

  test(`P5 P6: ${f}, a replica that answers each request just within the deadline is late in the end`, () => {
    const world = whole(faults, { core: { patience, deadline } });
    const slow = active(world);
    slow.behaviour.workMs = 90;
    for (let i = 0; i < 20; i++) {
      requests(world, 1);
      world.run(100);
    }
    recovers(world);
    assert.deepEqual(named(world), blame([slow, 'late']));
  });

  test(`P5 P6: ${f}, so does one that never has an empty queue`, () => {
    const world = whole(faults, { core: { patience, deadline } });
    const slow = active(world);
    slow.behaviour.workMs = 90;
    requests(world, 40);
    recovers(world);
    assert.deepEqual(named(world), blame([slow, 'late']));
  });

  test(`P6: ${f}, who has answered is not late for the time in which all wait for another one`, () => {
    const patient = { floorMs: 5000, ceilingMs: 5000, factor: 20 };
    const world = whole(faults, { core: { patience, deadline: patient } });
    const [silent, sound] = [active(world), active(world, 1)];
    silent.behaviour.workMs = 5000;
    sound.behaviour.workMs = 10;
    for (const { behaviour } of world.role('passive')) behaviour.workMs = 100;
    requests(world, 1);
    settled(world);
    sound.behaviour.workMs = 110;
    recovers(world);
    assert.deepEqual(named(world), blame([silent, 'late']));
  });

  test(`P5: ${f}, requests that take long on every replica are no fault, also for one that is behind`, () => {
    const world = whole(faults, { core: { patience, deadline }, behaviour: () => ({ workMs: 90 }) });
    const behind = active(world);
    behind.behaviour.workMs = 105;
    requests(world, 100);
    recovers(world);
    assert.deepEqual(named(world), []);
  });

  test(`P5: ${f}, being slow for a while is forgiven`, () => {
    const world = whole(faults, { core: { patience, deadline } });
    const slow = active(world);
    for (let round = 0; round < 5; round++) {
      slow.behaviour.workMs = 90;
      requests(world, 4);
      recovers(world);
      slow.behaviour.workMs = 0;
      world.run(5000);
    }
    assert.deepEqual(named(world), []);
  });
}
