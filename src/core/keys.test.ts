/** Is a request with a key executed at most once, and the table bounded? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { index } from './ids.ts';
import { KeyTable } from './keys.ts';

const use = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  fingerprint: fc.constantFrom('p', 'q'),
});

void test('P2 P7 K1 K2: of all entries with a remembered key only the first is executed; the oldest is forgotten', () => {
  fc.assert(
    fc.property(fc.array(use, { maxLength: 60 }), fc.integer({ min: 1, max: 6 }), (uses, limit) => {
      const table = new KeyTable(limit);
      // The keys that must be known, oldest first.
      let known: { key: string; fingerprint: string; at: number }[] = [];
      for (const [at, { key, fingerprint }] of uses.entries()) {
        const result = table.use({ key, fingerprint }, index(at));
        const first = known.find((one) => one.key === key);
        if (first === undefined) {
          known.push({ key, fingerprint, at });
          const forgotten = known.length > limit ? known[0] : undefined;
          if (forgotten !== undefined) known = known.slice(1);
          assert.deepEqual(result, { type: 'first', forgotten: forgotten?.at ?? null });
        } else if (first.fingerprint === fingerprint)
          assert.deepEqual(result, { type: 'again', of: first.at });
        else assert.deepEqual(result, { type: 'reused' });
      }
    }),
  );
});
