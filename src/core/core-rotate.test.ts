/**
 * Does a rotation replace a replica without anything being seen of it: no entry lost or executed twice, nobody blamed, the
 * old one gone, a clean one asleep in the place of the one that took over? And when something fails meanwhile?
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicaId } from './ids.ts';
import type { World } from './testing/world.ts';
import { active, EACH, effects, named, passive, requests, settled, whole } from './testing/scenario.ts';

/** Asks for it with entries under way, and lets all of that end. */
function rotate(world: World, replica: ReplicaId): void {
  requests(world, 3);
  world.tell({ type: 'rotate', replica });
  requests(world, 3);
  world.until('the rotation is over', () => world.core.group.get(replica) === undefined);
  settled(world);
}

function ids(world: World, role: 'active' | 'passive'): ReplicaId[] {
  return world.role(role).map(({ id }) => id);
}

for (const faults of EACH) {
  const f = `f = ${faults}`;

  void test(`P6: ${f}, an active replica is rotated: a passive one takes over, a clean one sleeps, nobody is suspected`, () => {
    const world = whole(faults);
    const [old, next] = [active(world).id, passive(world).id];
    world.trace = [];
    rotate(world, old);
    assert.ok(!world.replicas.has(old), 'the old one is destroyed');
    assert.ok(ids(world, 'active').includes(next), 'a passive one took over');
    assert.equal(ids(world, 'active').length, faults + 1);
    assert.equal(ids(world, 'passive').length, faults + 1);
    assert.equal(effects(world, 'start').length, 1, 'one clean replica is started');
    assert.deepEqual(named(world), []);
    assert.equal(world.core.group.suspicion, null);
  });

  void test(`P3: ${f}, the new one executes all from where it takes over; the old one goes on until it is warm`, () => {
    const world = whole(faults);
    const [old, next] = [active(world).id, passive(world).id];
    world.trace = [];
    world.tell({ type: 'rotate', replica: old });
    for (let i = 0; i < 300; i++) {
      requests(world, 1);
      world.run(10);
    }
    settled(world);
    const executed = (id: ReplicaId): number[] =>
      effects(world, 'execute').flatMap(({ replica, index }) => (replica === id ? [index] : []));
    const [mine, other] = [executed(old), executed(next)];
    const [begin = 0] = other;
    const both = mine.filter((index) => index >= begin);
    assert.ok(both.length >= 5 && both.length < 20, `${both.length} entries together`);
    assert.deepEqual(both, other.slice(0, both.length));
    assert.deepEqual(named(world), []);
    assert.equal(world.core.group.suspicion, null);
  });

  void test(`P5: ${f}, clients do not wait for the new one while it is slow, nor is it blamed`, () => {
    const world = whole(faults);
    const [old, next] = [active(world).id, passive(world)];
    next.behaviour.workMs = 40;
    world.tell({ type: 'rotate', replica: old });
    world.until('both execute', () => world.core.replicas.get(next.id)?.phase === 'executing');
    requests(world, 1);
    world.run(20);
    assert.ok(world.answered, 'the old one answered');
    for (let i = 0; i < 100; i++) {
      requests(world, 1);
      world.run(10);
    }
    world.run(10);
    assert.ok(world.answered, 'the old one goes on as long as the new one falls behind');
    next.behaviour.workMs = 0;
    settled(world);
    assert.deepEqual(named(world), []);
    assert.ok(!world.replicas.has(old));
  });

  void test(`P6: ${f}, who is to take over waits for slow requests before its turn, and is not blamed for that`, () => {
    const world = whole(faults);
    const [old, next] = [active(world).id, passive(world).id];
    const slow = world.role('active');
    for (const replica of slow) replica.behaviour.workMs = 1500;
    requests(world, 2);
    world.tell({ type: 'rotate', replica: old });
    world.until('both are answered', () => world.answered);
    for (const replica of slow) replica.behaviour.workMs = 0;
    settled(world);
    assert.deepEqual(named(world), []);
    assert.ok(ids(world, 'active').includes(next), 'it took over');
    assert.equal(world.core.group.suspicion, null);
  });

  void test(`P6: ${f}, a passive replica is rotated: it leaves at once, and a clean one takes its place`, () => {
    const world = whole(faults);
    const old = passive(world).id;
    rotate(world, old);
    assert.ok(!world.replicas.has(old));
    assert.equal(ids(world, 'passive').length, faults + 1);
    assert.deepEqual(named(world), []);
  });

  void test(`P5: ${f}, the one that is to take over dies meanwhile: the old one goes on`, () => {
    const world = whole(faults);
    const [old, next] = [active(world).id, passive(world).id];
    world.tell({ type: 'rotate', replica: old });
    world.crash(next);
    requests(world, 3);
    settled(world);
    assert.ok(named(world).some((text) => text.includes(next)));
  });

  void test(`P5: ${f}, the old one dies while it is replaced: all entries are answered all the same`, () => {
    const world = whole(faults);
    const old = active(world).id;
    requests(world, 3);
    world.tell({ type: 'rotate', replica: old });
    world.crash(old);
    requests(world, 3);
    settled(world);
    assert.ok(!world.replicas.has(old));
  });
}

for (const variants of [2, 3, 5]) {
  void test(`P6: ${variants} variants: however often replicas are rotated, the active ones are of different variants`, () => {
    const world = whole(1, { core: { variants } });
    for (let i = 0; i < 4 * variants; i++) {
      rotate(world, active(world).id);
      const [one, other] = world.role('active').map(({ variant }) => variant);
      assert.notEqual(one, other, `after rotation ${i + 1}`);
    }
    assert.deepEqual(named(world), []);
  });
}
