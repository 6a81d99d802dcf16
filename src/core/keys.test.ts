/** Is a request with a key executed at most once, and the table bounded? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { SkipReason } from './entry.ts';
import { index } from './ids.ts';
import { KeyTable } from './keys.ts';

const use = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  fingerprint: fc.constantFrom('p', 'q'),
});
/** So many entries ago. */
const skip = fc.record({
  back: fc.integer({ min: 0, max: 8 }),
  reason: fc.constantFrom('poison', 'timeout', 'no-agreement'),
});

/** The keys that must be known, oldest first. */
type Known = { key: string; fingerprint: string; at: number; skipped: SkipReason | null }[];

void test('P2 P7 K1 K2: of all entries with a remembered key only the first is executed, or the next if that one was skipped; the oldest is forgotten', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 3, arbitrary: use }, skip), { maxLength: 60 }),
      fc.integer({ min: 1, max: 6 }),
      (steps, limit) => {
        const table = new KeyTable(limit);
        let known: Known = [];
        for (const [at, step] of steps.entries()) {
          if ('back' in step) {
            const first = known.find((one) => one.at === at - step.back);
            const forgotten = first !== undefined && step.reason !== 'poison';
            assert.equal(table.skip(index(at - step.back), step.reason), forgotten);
            if (forgotten) known = known.filter((one) => one !== first);
            else if (first !== undefined) first.skipped = step.reason;
            continue;
          }
          const { key, fingerprint } = step;
          const result = table.use({ key, fingerprint }, index(at));
          const first = known.find((one) => one.key === key);
          if (first === undefined) {
            known.push({ key, fingerprint, at, skipped: null });
            const forgotten = known.length > limit ? known[0] : undefined;
            if (forgotten !== undefined) known = known.slice(1);
            assert.deepEqual(result, { type: 'first', forgotten: forgotten?.at ?? null });
          } else if (first.fingerprint === fingerprint)
            assert.deepEqual(result, { type: 'again', of: first.at, skipped: first.skipped });
          else assert.deepEqual(result, { type: 'reused' });
        }
      },
    ),
  );
});
