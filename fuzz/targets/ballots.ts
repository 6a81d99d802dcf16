/**
 * Votes of several replicas in any order, before and after the answer: equal bytes are one vote, and what each replica has the
 * manager keep is bounded.
 */
import assert from 'node:assert/strict';
import { Ballots, digestOf } from '../../src/manager/ballots.ts';
import type { Target } from '../target.ts';

const BYTES_MAX = 64;

export const target: Target = {
  seeds: [
    Buffer.from('\x01\x01\x03abc\x02\x01\x03abd\x11\x01\x03abc'),
    Buffer.from('\xf0\x00\x00', 'latin1'),
  ],
  words: ['\xf0', '\xe0', '\x01\x10'],
  run: (input) => {
    const full = new Set<string>();
    let wasFull = false;
    let answered = -1;
    const ballots = new Ballots(BYTES_MAX, (replica, isFull) => {
      assert.notEqual(full.has(replica), isFull);
      if (isFull) full.add(replica);
      else full.delete(replica);
      wasFull ||= isFull;
    });
    for (let at = 0; at + 2 < input.length;) {
      const [who = 0, index = 0, length = 0] = input.subarray(at, at + 3);
      const bytes = input.subarray(at + 3, at + 3 + length);
      at += 3 + length;
      if (who >= 0xf0) {
        ballots.release(index);
        assert.equal(ballots.reply(index, digestOf(Buffer.of(1, 2, 3))), null);
        continue;
      }
      if (who >= 0xe0) {
        answered = Math.max(answered, index % 4);
        ballots.answered(answered);
        continue;
      }
      const replica = `r${who % 4}`;
      // It is not heard.
      if (full.has(replica)) continue;
      const vote = ballots.cast(replica, index % 4, bytes, bytes.subarray(1));
      assert.equal(vote.reply, digestOf(bytes));
      const found = [ballots.reply(index % 4, vote.reply), ballots.update(index % 4, vote.update)] as const;
      // What was let go of stays so.
      const mayBeGone = index % 4 <= answered;
      assert.ok(found[0]?.equals(bytes) ?? mayBeGone);
      assert.ok(found[1]?.equals(bytes.subarray(1)) ?? mayBeGone);
    }
    for (let index = 0; index < 4; index++) ballots.release(index);
    assert.equal(full.size, 0, 'nothing is kept of what is released');
    return wasFull ? 'full' : 'kept';
  },
};
