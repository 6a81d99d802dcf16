import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Room } from './room.ts';

const BYTES_MAX = 100;

const step = fc.record({
  type: fc.constantFrom('hold' as const, 'hold' as const, 'cameOn' as const, 'release' as const),
  who: fc.nat(5),
  bytes: fc.nat(120),
});

void test('what is held is bounded, the first go, and nobody without need', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const gone: number[] = [];
      const room = new Room<number>(BYTES_MAX, (who) => gone.push(who));
      let held: { readonly who: number; readonly bytes: number }[] = [];
      const total = (): number => held.reduce((sum, { bytes }) => sum + bytes, 0);
      for (const { type, who, bytes } of steps) {
        const at = held.findIndex((one) => one.who === who);
        const [one] = at === -1 ? [] : held.splice(at, 1);
        if (type === 'hold') held.splice(at === -1 ? held.length : at, 0, { who, bytes });
        else if (type === 'cameOn' && one !== undefined) held.push(one);
        const expected: number[] = [];
        while (total() > BYTES_MAX && held.length > 1) expected.push(held.shift()?.who ?? -1);
        if (type === 'hold') room.hold(who, bytes);
        else room[type](who);
        assert.deepEqual(gone.splice(0), expected);
      }
    }),
    { numRuns: 1000 },
  );
});
