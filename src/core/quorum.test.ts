/** Can two different results both be decided, or one by fewer than f+1 replicas? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Vote } from './event.ts';
import { digest, replicaId, type ReplicaId } from './ids.ts';
import { agreed, conflicting, sameVote } from './quorum.ts';

const vote: fc.Arbitrary<Vote> = fc.record({
  reply: fc.constantFrom('a', 'b', 'c').map(digest),
  update: fc.constantFrom('x', 'y').map(digest),
  updateBytes: fc.constant(1),
});

const votes: fc.Arbitrary<Map<ReplicaId, Vote>> = fc
  .array(vote, { maxLength: 8 })
  .map((list) => new Map(list.map((cast, i) => [replicaId(`r${i}`), cast])));

const quorum = fc.integer({ min: 1, max: 4 });

void test('P1 Q2: votes are equal when reply and update are', () => {
  const one: Vote = { reply: digest('a'), update: digest('x'), updateBytes: 1 };
  assert.ok(sameVote(one, { ...one }));
  assert.ok(!sameVote(one, { ...one, reply: digest('b') }));
  assert.ok(!sameVote(one, { ...one, update: digest('y') }));
});

void test('P1 Q2: what is agreed has f+1 equal votes, and something is agreed whenever f+1 are equal', () => {
  fc.assert(
    fc.property(votes, quorum, (votes, quorum) => {
      const all = [...votes.values()];
      const most = Math.max(0, ...all.map((one) => all.filter((other) => sameVote(one, other)).length));
      const result = agreed(votes, quorum);
      assert.equal(result !== null, most >= quorum);
      if (result !== null) {
        assert.ok(all.filter((cast) => sameVote(cast, result)).length >= quorum);
      }
    }),
  );
});

void test('P1: with at most f lies among 2f+1 votes, the honest result is agreed, whatever the order', () => {
  const lies = fc.array(vote, { maxLength: 3 });
  fc.assert(
    fc.property(lies, fc.nat(), (lies, turn) => {
      const faults = Math.max(1, lies.length);
      const honest: Vote = { reply: digest('right'), update: digest('right'), updateBytes: 1 };
      const cast = [...lies, ...Array.from({ length: 2 * faults + 1 - lies.length }, () => honest)];
      const turned = cast.map((_, i) => cast[(i + turn) % cast.length] ?? honest);
      const votes = new Map(turned.map((one, i) => [replicaId(`r${i}`), one]));
      assert.equal(agreed(votes, faults + 1), honest);
    }),
  );
});

void test('U1: votes are in conflict exactly when two differ', () => {
  fc.assert(
    fc.property(votes, (votes) => {
      const all = [...votes.values()];
      const differ = all.some((one) => all.some((other) => !sameVote(one, other)));
      assert.equal(conflicting(votes), differ);
    }),
  );
});

void test('P1 Q1: of 2f+1 replicas no two results are ever agreed, in whatever order votes come, and a second vote counts once', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(6), vote), { maxLength: 20 }), quorum, (cast, quorum) => {
      const votes = new Map<ReplicaId, Vote>();
      let known: Vote | null = null;
      for (const [replica, one] of cast) {
        const id = replicaId(`r${replica % (2 * quorum - 1)}`);
        // The first one stands, as the answers that a replica owes are settled one by one (L1).
        if (!votes.has(id)) votes.set(id, one);
        const now = agreed(votes, quorum);
        if (known !== null) assert.ok(now !== null && sameVote(now, known));
        known = now;
      }
    }),
  );
});
