/** Do all managers see the same times, and can anything be decided out of order? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Entry } from './entry.ts';
import { digest, index } from './ids.ts';
import { Order } from './order.ts';

const entries: fc.Arbitrary<Entry[]> = fc.array(
  fc.oneof(
    fc.record({
      type: fc.constant('request' as const),
      time: fc.nat(1000),
      key: fc.constant(null),
      bytes: fc.nat(1000),
    }),
    fc.record({ type: fc.constant('tick' as const), time: fc.nat(1000) }),
    fc.record({ type: fc.constant('mark' as const), time: fc.nat(1000) }),
  ),
  { minLength: 1, maxLength: 40 },
);

void test('P3 O1 O2: entries come and are decided one by one, without a gap', () => {
  const order = new Order(1000);
  const request: Entry = { type: 'request', time: 1, key: null, bytes: 1 };
  order.append(index(0), request, 0);
  assert.throws(() => order.append(index(2), request, 0), /O1/);
  assert.throws(() => order.append(index(0), request, 0), /O1/);
  const second = order.append(index(1), request, 0);
  assert.throws(() => order.decide(second), /O2/);
});

void test('P1 O2: what is to be chosen anew rests on the last entry before it that was voted on, also where nothing was chosen', () => {
  const order = new Order(1000);
  const vote = { reply: digest('reply'), update: digest('update'), updateBytes: 0 };
  const request: Entry = { type: 'request', time: 1, key: null, bytes: 1 };
  const [first, second] = [0, 1].map((at) => order.append(index(at), request, 0));
  assert.ok(first !== undefined && second !== undefined);
  first.decision = vote;
  order.choose(first);
  order.decide(first);
  order.unchoose();
  assert.equal(order.voted, 0);
  second.decision = vote;
  order.choose(second);
  assert.equal(order.voted, 1);
  order.unchoose();
  assert.equal(order.voted, 0);
});

void test('P3 O3: agreed time never goes back, and a tick counts from the tick before it', () => {
  fc.assert(
    fc.property(entries, (entries) => {
      const order = new Order(1000);
      let time = 0;
      let tick = 0;
      for (const [at, entry] of entries.entries()) {
        const slot = order.append(index(at), entry, 0);
        assert.equal(slot.time, Math.max(time, entry.time));
        assert.equal(slot.tickFrom, tick);
        ({ time } = slot);
        if (entry.type === 'tick') tick = time;
      }
    }),
  );
});

void test('P2: an order taken up again after any entry gives the rest the same times', () => {
  fc.assert(
    fc.property(entries, fc.nat(), (entries, turn) => {
      const whole = new Order(1000);
      const slots = entries.map((entry, at) => whole.append(index(at), entry, 0));
      const first = turn % entries.length;
      const before = slots[first - 1];
      const again = new Order(1000);
      const tick = slots[first]?.tickFrom ?? 0;
      again.recover(index(first), index(first - 1), before?.time ?? 0, tick);
      for (let at = first; at < entries.length; at++) {
        const entry = entries[at];
        assert.ok(entry !== undefined);
        const { time, tickFrom } = again.append(index(at), entry, 0);
        assert.deepEqual({ time, tickFrom }, { time: slots[at]?.time, tickFrom: slots[at]?.tickFrom });
      }
    }),
  );
});

void test('P7: each entry is let go once, in order, and nothing is kept of it', () => {
  fc.assert(
    fc.property(entries, fc.array(fc.nat(50), { maxLength: 20 }), (entries, steps) => {
      const order = new Order(1000);
      for (const [at, entry] of entries.entries()) {
        const slot = order.append(index(at), entry, 0);
        order.choose(slot);
        order.decide(slot);
      }
      const gone: number[] = [];
      for (const step of [...steps, entries.length - 1]) {
        gone.push(...order.release(index(Math.min(step, entries.length - 1))));
      }
      assert.deepEqual(
        gone,
        entries.map((_, at) => at),
      );
      for (const at of entries.keys()) assert.equal(order.slot(index(at)), undefined);
    }),
  );
});
