import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Gathered } from './gathered.ts';

void test('what came in pieces is whole, and takes at most twice its bytes and no more than is expected', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.nat(200), (pieces, expected) => {
      const gathered = new Gathered(expected);
      for (const piece of pieces) {
        gathered.add(Buffer.from(piece));
        const { length, bytesHeld } = gathered;
        assert.ok(bytesHeld <= Math.max(length, Math.min(2 * length, expected)));
      }
      assert.deepEqual(gathered.bytes(), Buffer.concat(pieces));
      assert.equal(gathered.length, gathered.bytes().length);
    }),
  );
});
