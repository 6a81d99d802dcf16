/** Can a replica slow all clients down by staying just within every deadline? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replicaId } from './ids.ts';
import {
  active,
  at,
  blame,
  EACH,
  effects,
  named,
  recovers,
  requests,
  settled,
  whole,
} from './testing/scenario.ts';
import type { World } from './testing/world.ts';

const patience = { graceMs: 20, overtimeMs: 500 };
const deadline = { floorMs: 100, ceilingMs: 200, factor: 20 };

function suspicions(world: World): number {
  return effects(world, 'append-command').filter(({ command }) => command.type === 'suspect').length;
}

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

  test(`P6 P7: ${f}, one that has become quick again, if not the quickest, is replaced all the same, and once`, () => {
    // Those that are woken take longer than it does, so that it has always answered before they have.
    const sleepers = (id: string): boolean => Number(id.slice(1)) > faults;
    const world = whole(faults, {
      core: { patience, deadline },
      behaviour: (id) => ({ fillMs: sleepers(id) ? 60 : 0 }),
    });
    const slow = active(world);
    slow.behaviour.workMs = 90;
    const isTooSlow = (): boolean => world.core.replicas.get(replicaId(slow.id))?.overtimeMs === Infinity;
    while (!isTooSlow()) {
      if (world.answered) requests(world, 1);
      world.run(10);
    }
    slow.behaviour.workMs = 10;
    for (let i = 0; i < 20; i++) {
      requests(world, 1);
      world.run(100);
    }
    recovers(world);
    assert.deepEqual(named(world), blame([slow, 'late']));
    assert.ok(suspicions(world) <= 2, `${suspicions(world)} suspicions`);
  });

  test(`P6: ${f}, who waits with all others for what one has lied about at once is not late for it`, () => {
    const world = whole(faults, { core: { patience, deadline } });
    const [liar, ...others] = [...world.role('active'), ...world.role('passive')];
    assert.ok(liar !== undefined);
    liar.behaviour.lie = 'reply';
    for (const { behaviour } of others) behaviour.workMs = 900;
    requests(world, 1);
    world.run(3000);
    for (const { behaviour } of others) behaviour.workMs = 10;
    at(others, 0).behaviour.workMs = 30;
    for (let i = 0; i < 20; i++) {
      requests(world, 1);
      world.run(100);
    }
    recovers(world);
    assert.deepEqual(named(world), blame([liar, 'reply']));
    assert.equal(suspicions(world), 1);
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
