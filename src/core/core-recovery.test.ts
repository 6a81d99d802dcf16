/**
 * Is everything as it was after all processes were killed at once? What was answered stays answered, with the same
 * result, once; `testing/checks.ts` compares each answer with those given before the kill.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { World } from './testing/world.ts';
import {
  active,
  EACH,
  effects,
  named,
  recovers,
  refreshEvery,
  requests,
  settled,
  whole,
} from './testing/scenario.ts';

function executed(world: World): Set<number> {
  return new Set(effects(world, 'execute').map(({ index }) => Number(index)));
}

const SAME = { key: 'k', fingerprint: 'same' };

for (const faults of EACH) {
  const f = `f = ${faults}`;

  void test(`P2: ${f}, after a kill what was recorded is not executed again, what comes after it is`, () => {
    const world = whole(faults);
    requests(world, 5);
    settled(world);
    world.sync();
    const recorded = world.disk.decided;
    requests(world, 5);
    world.sync();
    world.diskStuck = true;
    world.until('answered', () => world.answered);
    world.kill();
    assert.equal(world.disk.decided, recorded);
    world.diskStuck = false;
    recovers(world);
    const again = executed(world);
    for (const { index } of world.tickets) assert.equal(again.has(index), index > recorded, `entry ${index}`);
    assert.deepEqual(named(world), [], 'a kill of everything is no fault of a replica');
  });

  void test(`P2: ${f}, killed at any moment of a busy life, a torn write here and there: nothing answered is lost`, () => {
    for (let moment = 0; moment < 40; moment++) {
      const core = { ...refreshEvery(6), keysMax: 3 };
      const world = whole(faults, { core, behaviour: () => ({ workMs: 3 }) });
      for (let step = 0; step < moment; step++) {
        if (step % 3 === 0) requests(world, 3);
        world.request('write', { key: `${(step * 7) % 5}`, fingerprint: 'same' });
        if (step >= 10 && step <= 12) world.request('random', { key: 'odd', fingerprint: 'same' });
        if (step === 14) world.request('write', { key: 'odd', fingerprint: 'same' });
        if (step === 14) world.crash(active(world).id);
        world.run(10);
      }
      world.kill(moment % 5);
      if (moment % 4 === 0) {
        world.run(10);
        world.kill();
      }
      recovers(world);
    }
  });

  void test(`P2 P3: ${f}, an entry has the same time before and after, also when the order was cut before it`, () => {
    const world = whole(faults, { core: refreshEvery(6), behaviour: () => ({ workMs: 15 }) });
    requests(world, 8);
    const cut = (): boolean => effects(world, 'truncate-order').length > 0;
    // Requests keep coming while the mark is undecided, and a tick with them.
    for (let i = 0; i < 100 && !cut(); i++) {
      world.request();
      world.run(10);
    }
    assert.ok(cut() && !world.answered);
    world.diskStuck = true;
    world.until('answered', () => world.answered);
    world.kill();
    world.diskStuck = false;
    recovers(world);
    assert.deepEqual(named(world), []);
  });

  void test(`P2: ${f}, a key's second request is not executed, and gets the first one's reply`, () => {
    const world = whole(faults);
    const first = world.request('write', SAME);
    const second = world.request('write', SAME);
    settled(world);
    const third = world.request('write', SAME);
    settled(world);
    assert.ok(first.outcome?.startsWith('reply '));
    assert.deepEqual([second.outcome, third.outcome], [`reply of ${first.index}`, `reply of ${first.index}`]);
    assert.ok(!executed(world).has(second.index) && !executed(world).has(third.index));
    world.disk.flush();
    assert.deepEqual([...world.disk.keys.keys()], [first.index], 'nothing of the others is kept');
  });

  void test(`P2: ${f}, a key's reuse for another request is refused`, () => {
    const world = whole(faults);
    world.request('write', SAME);
    const other = world.request('write', { key: 'k', fingerprint: 'other' });
    settled(world);
    assert.equal(other.outcome, 'key-reused');
    assert.ok(!executed(world).has(other.index));
  });

  void test(`P2: ${f}, keys are remembered after a kill, and after their entries were cut off`, () => {
    const world = whole(faults, { core: refreshEvery(4) });
    const first = world.request('write', SAME);
    requests(world, 12);
    settled(world);
    world.run(50);
    world.kill();
    assert.ok(world.disk.first > first.index, 'its entry is cut off');
    const again = world.request('write', SAME);
    recovers(world);
    assert.equal(again.outcome, `reply of ${first.index}`);
  });

  void test(`P2 K1: ${f}, a retry whose key is forgotten just after it is not executed after a kill either`, () => {
    const world = whole(faults, { core: { ...refreshEvery(4), keysMax: 2 } });
    const first = world.request('write', SAME);
    requests(world, 12);
    world.request('write', { key: 'newer', fingerprint: 'same' });
    settled(world);
    world.until('its entry is cut off', () => world.disk.first > first.index);
    const again = world.request('write', SAME);
    world.request('write', { key: 'newest', fingerprint: 'same' });
    world.sync();
    world.kill();
    assert.ok(world.disk.decided < again.index, 'what became of it is lost');
    recovers(world);
    assert.ok(!executed(world).has(again.index));
    assert.equal(again.outcome, `reply of ${first.index}`);
    requests(world, 12);
    settled(world);
    assert.deepEqual(
      [...world.disk.keys.values()].map(({ key }) => key),
      ['newer', 'newest'],
      'K2',
    );
    const anew = world.request('write', SAME);
    settled(world);
    assert.ok(executed(world).has(anew.index), 'K2: it is forgotten');
  });

  void test(`P2: ${f}, a skip is known after a kill`, () => {
    const world = whole(faults);
    const odd = world.request('random');
    requests(world, 3);
    settled(world);
    // Lose the records, keep the order.
    world.disk.log.splice(
      0,
      world.disk.log.length,
      ...world.disk.log.filter(({ type }) => type !== 'record'),
    );
    world.sync();
    world.kill();
    assert.equal(world.disk.decided, -1);
    recovers(world);
    assert.ok(!executed(world).has(odd.index));
    assert.equal(odd.outcome, 'skipped no-agreement');
  });

  void test(`P2: ${f}, killed while it starts for the first time: it starts`, () => {
    for (const ms of [0, 10, 20, 30]) {
      const world = whole(faults);
      world.kill(-world.disk.durable);
      world.run(ms);
      world.kill();
      recovers(world);
    }
  });

  void test(`P2 P6: ${f}, orders of an earlier run do nothing in this one, also when the new boot comes late`, () => {
    const world = whole(faults, { appendMs: () => 60 });
    world.crash(active(world).id);
    requests(world, 5);
    world.run(100);
    world.kill();
    recovers(world);
    assert.equal(world.core.group.size, 2 * faults + 2);
    const started = effects(world, 'start').length;
    assert.equal(started, 2 * faults + 2, 'no more than needed');
  });
}
