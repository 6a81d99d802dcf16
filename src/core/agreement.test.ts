/** Can two managers that see the same commands come to different decisions, or can one rest on what is open again? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Agreement } from './agreement.ts';
import type { Vote } from './event.ts';
import { digest, index, managerId } from './ids.ts';

const VIEW = ['m0', 'm1', 'm2'].map(managerId);

function vote(text: string): Vote {
  return { reply: digest(text), update: digest(text), updateBytes: 1 };
}

type Decisions = ReturnType<Agreement['decide']>;

function decision(at: number, text: string): { index: ReturnType<typeof index>; vote: Vote } {
  return { index: index(at), vote: vote(text) };
}

/** Asked for in the present round. */
function decide(agreement: Agreement, votes: Decisions): Decisions {
  return agreement.decide(agreement.round, votes);
}

const step = fc.oneof(
  fc.record({ type: fc.constant('decide' as const), at: fc.nat(12), text: fc.constantFrom('a', 'b') }),
  fc.record({ type: fc.constant('skip' as const), at: fc.nat(12), text: fc.constant('') }),
  fc.record({ type: fc.constant('round' as const), at: fc.nat(8), text: fc.constant('') }),
);

/** All managers report so. */
function round(agreement: Agreement, at: number, reports: readonly number[]): void {
  agreement.begin(index(at));
  for (const [i, manager] of VIEW.entries()) {
    agreement.report(manager, index(at), index(reports[i] ?? -1), VIEW);
  }
}

void test('P1 A1: the order decides once all of the view have reported in this round, and only after the highest report', () => {
  const agreement = new Agreement();
  assert.deepEqual(decide(agreement, [decision(5, 'a')]), []);
  agreement.begin(index(10));
  for (const manager of VIEW.slice(0, 2)) agreement.report(manager, index(10), index(4), VIEW);
  agreement.report(VIEW[2] ?? managerId(''), index(9), index(3), VIEW);
  assert.equal(agreement.mode, 'reporting');
  agreement.report(VIEW[2] ?? managerId(''), index(10), index(6), VIEW);
  assert.deepEqual([agreement.mode, agreement.floor], ['ordered', 6]);
  assert.deepEqual(decide(agreement, [decision(6, 'a')]), []);
  assert.equal(agreement.skip(index(6)), false);
  assert.deepEqual(decide(agreement, [decision(7, 'a')]), [decision(7, 'a')]);
});

void test('P1: the first of decide and skip counts, and nothing of a chain after the first that was decided otherwise', () => {
  const agreement = new Agreement();
  round(agreement, 10, [4, 4, 4]);
  decide(agreement, [decision(5, 'a'), decision(6, 'a')]);
  assert.equal(agreement.skip(index(6)), false);
  assert.equal(agreement.skip(index(7)), true);
  assert.deepEqual(decide(agreement, [decision(6, 'b'), decision(8, 'b')]), []);
  assert.deepEqual(decide(agreement, [decision(7, 'a'), decision(8, 'b')]), []);
  assert.deepEqual(decide(agreement, [decision(6, 'a'), decision(8, 'a')]), [decision(8, 'a')]);
});

void test('P1 A2: what rests on a floor that a later round does not reach is open again; skips and the rest stay', () => {
  const agreement = new Agreement();
  round(agreement, 10, [4, 6, 4]);
  decide(agreement, [decision(7, 'a')]);
  agreement.skip(index(8));
  round(agreement, 11, [6, 7, 7]);
  assert.ok(agreement.has(index(7)));
  round(agreement, 12, [5, 5, 5]);
  assert.ok(!agreement.has(index(7)) && agreement.has(index(8)));
});

void test('P3 A2: a decision asked for in an earlier round rests on what may be open again: only that of entry 0 counts', () => {
  const agreement = new Agreement();
  agreement.begin(index(9));
  agreement.begin(index(10));
  assert.deepEqual(agreement.decide(index(9), [decision(0, 'a'), decision(1, 'a')]), [decision(0, 'a')]);
  round(agreement, 11, [4, 7, 4]);
  round(agreement, 12, [4, 4, 4]);
  assert.deepEqual(agreement.decide(index(11), [decision(8, 'a')]), []);
  decide(agreement, [decision(5, 'b'), decision(6, 'b'), decision(7, 'b')]);
  assert.deepEqual(agreement.decide(index(11), [decision(7, 'b'), decision(8, 'a')]), []);
  // As far as the floor of that round, but perhaps otherwise.
  round(agreement, 13, [7, 7, 7]);
  assert.deepEqual(agreement.decide(index(11), [decision(8, 'a')]), []);
  assert.deepEqual(agreement.decide(index(13), [decision(8, 'b')]), [decision(8, 'b')]);
});

void test('P2: a state written down and taken up again decides the same', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.nat(30), (steps, cut) => {
      let again = new Agreement();
      const whole = new Agreement();
      for (const [turn, { type, at, text }] of steps.entries()) {
        if (turn === cut) {
          const state = again.state();
          again = new Agreement();
          again.restore(state);
        }
        for (const agreement of [whole, again]) {
          if (type === 'decide') decide(agreement, [decision(at, text), decision(at + 1, text)]);
          else if (type === 'skip') agreement.skip(index(at));
          else round(agreement, 100 + turn, [at, at, 0]);
        }
        assert.deepEqual(again.state(), whole.state());
      }
    }),
  );
});

void test('P1 A2: what counts of an entry changes only where a round with a lower floor opened it; a skip never', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const agreement = new Agreement();
      let counts = new Map<number, string>();
      for (const [turn, { type, at, text }] of steps.entries()) {
        const before = agreement.floor;
        if (type === 'decide') decide(agreement, [decision(at, text), decision(at + 1, text)]);
        else if (type === 'skip') agreement.skip(index(at));
        else round(agreement, 100 + turn, [at, at, 0]);
        const now = new Map<number, string>(
          agreement.state().decisions.map(([at, { vote }]) => [at, vote?.reply ?? 'skipped']),
        );
        for (const [at, what] of counts) {
          if (now.get(at) === what) continue;
          assert.ok(!now.has(at) && what !== 'skipped' && type === 'round', `${at} changes`);
          assert.ok(agreement.floor < before || agreement.floor < at, 'opened by a lower floor');
        }
        counts = now;
      }
    }),
  );
});

void test('P2 A3: what was decided long ago is let go of, and is never decided again', () => {
  const agreement = new Agreement();
  round(agreement, 1, [0, 0, 0]);
  const many = Array.from({ length: 5000 }, (_, i) => decision(i + 1, 'a'));
  for (const each of many) assert.equal(decide(agreement, [each]).length, 1);
  assert.ok(agreement.state().decisions.length < many.length, 'bounded');
  for (const { index: at } of [many[0], many[100], many.at(-1)].filter((each) => each !== undefined)) {
    assert.equal(agreement.skip(at), false);
    assert.deepEqual(decide(agreement, [{ index: at, vote: vote('b') }]), []);
  }
  const copy = new Agreement();
  copy.restore(agreement.state());
  assert.equal(copy.skip(index(1)), false);
});
