/** Can anybody move the deadline out of its limits, or keep it away from what is usual? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Deadline } from './deadline.ts';

const LIMITS = { floorMs: 50, ceilingMs: 2000, factor: 20 };

void test('P5: the deadline stays between floor and ceiling, whatever lags are seen', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 64, maxLength: 600 }),
      (lags) => {
        const deadline = new Deadline(LIMITS);
        for (const lag of lags) {
          deadline.observe(lag);
          assert.ok(deadline.ms >= LIMITS.floorMs && deadline.ms <= LIMITS.ceilingMs);
        }
      },
    ),
  );
});

void test('P5: before anything is known it is the ceiling; then it follows the recent lags, up and down', () => {
  const deadline = new Deadline(LIMITS);
  assert.equal(deadline.ms, LIMITS.ceilingMs);
  for (let i = 0; i < 256; i++) deadline.observe(1);
  assert.equal(deadline.ms, LIMITS.floorMs);
  for (let i = 0; i < 256; i++) deadline.observe(10);
  assert.equal(deadline.ms, 200);
  for (let i = 0; i < 256; i++) deadline.observe(1);
  assert.equal(deadline.ms, LIMITS.floorMs);
});

void test('P5: a single slow vote in a hundred does not move it at any time; five do', () => {
  const deadline = new Deadline(LIMITS);
  for (let i = 0; i < 256; i++) {
    deadline.observe(i === 150 ? 1000 : 5);
    if (i >= 63) assert.equal(deadline.ms, 100, `after ${i + 1}`);
  }
  for (let i = 0; i < 256; i++) deadline.observe(i % 20 === 0 ? 50 : 5);
  assert.equal(deadline.ms, 1000);
});
