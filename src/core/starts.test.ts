/** Can failing starts keep the manager busy, and is a variant that goes wrong avoided? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Starts } from './starts.ts';

void test('P7 B1: whenever starts fail, they are tried at most 12 times a minute at first, and twice a minute in the end', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 50 }), (together) => {
      const starts = new Starts(1, 4);
      starts.ready();
      let now = 0;
      const tries: number[] = [];
      for (let i = 0; now < 300_000; now += 10) {
        if (!starts.allowed(now)) continue;
        tries.push(now);
        for (let more = together[i++ % together.length] ?? 0; more >= 0; more--) {
          assert.equal(starts.failed(now), false, 'it ran before: not given up');
        }
      }
      const within = (from: number, to: number): number => tries.filter((at) => at >= from && at < to).length;
      assert.ok(within(0, 60_000) <= 12 && within(0, 60_000) >= 6);
      assert.ok(within(240_000, 300_000) === 2);
      starts.worked();
      starts.failed(now + 30_000);
      assert.ok(starts.allowed(now + 31_000), 'a start that works makes the next wait short again');
    }),
  );
});

void test('P5: f+1 failures in a row before any replica was ready, and not fewer, are the end', () => {
  for (const faults of [1, 2, 3]) {
    const starts = new Starts(faults, 4);
    for (let i = 0; i < faults; i++) assert.equal(starts.failed(0), false);
    starts.worked();
    for (let i = 0; i < faults; i++) assert.equal(starts.failed(0), false);
    assert.equal(starts.failed(0), true);
    starts.ready();
    assert.equal(starts.failed(0), false);
  }
});

void test('P6 B2: the next variant has the fewest faults, and of these is run least', () => {
  const variant = fc.nat(3);
  fc.assert(
    fc.property(fc.array(variant), fc.array(variant), (faults, inUse) => {
      const starts = new Starts(1, 4);
      for (const one of faults) starts.faulty(one);
      const count = (list: number[], one: number): number => list.filter((other) => other === one).length;
      const next = starts.variant(inUse);
      for (const other of [0, 1, 2, 3]) {
        const [mine, theirs] = [count(faults, next), count(faults, other)];
        assert.ok(mine <= theirs);
        if (mine === theirs) assert.ok(count(inUse, next) <= count(inUse, other));
      }
    }),
  );
});

test('P6 B2: one replacement after another goes through all variants, and none comes back as the one that left', () => {
  for (const variants of [5, 6, 9]) {
    const starts = new Starts(1, variants);
    const inUse = [0, 1, 2, 3];
    for (const variant of inUse) starts.started(variant);
    const begun: number[] = [];
    for (let i = 0; i < 3 * variants; i++) {
      const left = inUse.shift();
      const next = starts.variant(inUse);
      assert.notEqual(next, left);
      starts.started(next);
      inUse.push(next);
      begun.push(next);
    }
    for (let from = 0; from + variants <= begun.length; from++) {
      assert.equal(
        new Set(begun.slice(from, from + variants)).size,
        variants,
        'each once before any comes again',
      );
    }
  }
});

test('P6 B3: a variant that was at fault is avoided for two generations, not for ever', () => {
  const starts = new Starts(1, 2);
  const run = (count: number): number[] =>
    Array.from({ length: count }, () => {
      const next = starts.variant([0]);
      starts.started(next);
      return next;
    });
  starts.faulty(1);
  assert.deepEqual(run(8), [0, 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(run(2), [1, 1]);
});
