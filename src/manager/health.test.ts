/** Is it known at every moment what the group can do, and is one said to be repaired only if it lost somebody? With the real core. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { active, passive, refreshEvery, requests, whole } from '../core/testing/scenario.ts';
import { World } from '../core/testing/world.ts';
import { Health } from './health.ts';

const FAULTS = 1;

/** A group with a passive replica that is awake for a refresh. */
function refreshing(): World {
  const world = whole(FAULTS, { core: refreshEvery(10), behaviour: () => ({ fillMs: 50 }) });
  requests(world, 20);
  world.until('one is refreshed', () => world.core.replicas.refreshing());
  return world;
}

/** How often it was said to be repaired, until it is whole and for long after. */
function repairs(world: World, health: Health): number {
  let count = 0;
  for (let ms = 0; ms < 5000; ms += 10) {
    world.run(10);
    if (health.clock(world.now) === null) continue;
    assert.ok(health.whole(), 'it is');
    count++;
  }
  assert.ok(world.whole);
  return count;
}

void test('P6: an incident of who is no member, such as one of a new version, leaves a group whole, also during a refresh', () => {
  const world = refreshing();
  const health = new Health(world.core, FAULTS);
  health.broken(world.now);
  assert.equal(repairs(world, health), 0);
});

void test('P6: a group that lost a replica, active or passive, is repaired once, also when that was during a refresh', () => {
  for (const role of [active, passive]) {
    const world = refreshing();
    const health = new Health(world.core, FAULTS);
    world.crash(role(world).id);
    health.broken(world.now);
    assert.equal(repairs(world, health), 1);
  }
});

void test('P6: a group was broken since the first of the incidents from which it has recovered', () => {
  const world = whole(FAULTS);
  const health = new Health(world.core, FAULTS);
  world.crash(passive(world).id);
  world.until('it is found', () => !health.calm());
  const first = world.now;
  health.broken(first);
  world.run(1);
  assert.ok(!health.calm());
  health.broken(world.now);
  world.until('it is whole', () => health.whole());
  assert.equal(health.clock(world.now), world.now - first);
});

void test('P5: whoever is told that the group is whole is answered, from that moment on', () => {
  const world = whole(FAULTS);
  const health = new Health(world.core, FAULTS);
  assert.ok(health.whole() && health.accepting());
  health.clock(world.now);
  world.until('too few answer', () => {
    for (const replica of world.role('active')) world.crash(replica.id);
    return !health.answering();
  });
  assert.ok(health.accepting(), 'what comes in an outage waits');
});

void test('P5: a group that is never up takes nothing', () => {
  const world = new World({ faults: FAULTS, behaviour: () => ({ failsToStart: true }) });
  const health = new Health(world.core, FAULTS);
  world.run(1000);
  health.clock(world.now);
  assert.equal(health.accepting(), false);
});

void test('P6: a group that lost a replica is not calm because one of a new version sleeps', () => {
  const world = whole(FAULTS);
  const health = new Health(world.core, FAULTS);
  const asleep = world.core.replicas.count('suspended');
  world.tell({ type: 'deploy', variants: 1 });
  world.until('one of the new version sleeps', () => world.core.replicas.count('suspended') > asleep);
  assert.ok(health.calm(), 'all members are up');
  world.crash(passive(world).id);
  world.until('it is found', () => world.core.replicas.count('suspended') === asleep);
  assert.equal(health.calm(), false);
});

void test('P6: while a new version takes over, those of it that are about to answer do not count as suspended', () => {
  const world = whole(FAULTS, { behaviour: () => ({ workMs: 30 }) });
  const health = new Health(world.core, FAULTS);
  world.tell({ type: 'deploy', variants: 1 });
  world.until('it takes over, and the old ones have something to vote on before', () => {
    requests(world, 1);
    return world.core.group.takeover !== null;
  });
  assert.ok(health.whole());
  assert.equal(health.asleep(), FAULTS + 1);
});
