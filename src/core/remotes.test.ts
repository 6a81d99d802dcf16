/** Can a replica of another manager count whose state is not known to be right? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { index, replicaId } from './ids.ts';
import { Remotes } from './remotes.ts';

const REPLICA = replicaId('r1');

const step = fc.oneof(
  fc.record({
    type: fc.constant('agrees' as const),
    before: fc.integer({ min: -1, max: 20 }),
    by: fc.nat(2),
  }),
  fc.record({
    type: fc.constant('heard' as const),
    turn: fc.nat(4),
    claimed: fc.integer({ min: -1, max: 20 }),
  }),
  fc.record({ type: fc.constant('unchoose' as const) }),
);

void test('P1 D2: right through no more than its manager said, or its own votes show without a gap', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const remotes = new Remotes();
      let [turn, claimed, seen] = [0, -1, -1];
      for (const one of steps) {
        if (one.type === 'unchoose') {
          remotes.unchoose();
          seen = -1;
        } else if (one.type === 'agrees') {
          const at = one.before + 1 + one.by;
          remotes.agrees(REPLICA, index(one.before), index(at));
          if (Math.max(claimed, seen) >= one.before) seen = Math.max(seen, at);
        } else {
          const news = remotes.heard(0, REPLICA, one.turn, index(one.claimed));
          assert.equal(news, one.turn < turn ? 'old turn' : one.turn > turn ? 'new turn' : 'same turn');
          turn = Math.max(turn, one.turn);
          if (news !== 'old turn') claimed = Math.max(claimed, one.claimed);
        }
        assert.equal(remotes.good(REPLICA), Math.max(claimed, seen));
      }
    }),
  );
});
