/** Does a manager listen only to present lives, only once it knows as much of the order, and keep only so much? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Core } from './core.ts';
import { index, type ManagerId } from './ids.ts';
import { oneOfThree, OTHERS } from './testing/three.ts';

const [OTHER, THIRD] = OTHERS;
const HELD = 64 * 2;

function decidedBy(core: Core, manager: ManagerId): number {
  for (const [id, { decided }] of core.peers.view()) if (id === manager) return decided;
  return -2;
}

function say(core: Core, from: ManagerId, at: number, boot: number, decided: number): void {
  const none = index(-1);
  const part = { type: 'progress', decided: index(decided), mark: none, checkpoint: none } as const;
  core.peers.receive(0, from, { at: index(at), boot: index(boot), parts: [part] });
}

function order(core: Core): void {
  core.order.append(index(core.order.head + 1), { type: 'mark', time: 0 }, 0);
  core.peers.release(0);
}

const message = fc.record({
  at: fc.integer({ min: -1, max: 12 }),
  boot: fc.integer({ min: -1, max: 1 }),
  decided: fc.nat(20),
});

test('P2 M1 M2: what was said counts from the entry on that its sender had seen, of its present life, in any order', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 30 }), fc.nat(12), (messages, arrive) => {
      const core = oneOfThree();
      for (let head = 0; head <= 12; head++) {
        if (head === arrive)
          for (const { at, boot, decided } of messages) say(core, OTHER, at, boot, decided);
        order(core);
        const heard = head < arrive ? [] : messages.filter(({ at, boot }) => at <= head && boot === 0);
        assert.equal(decidedBy(core, OTHER), Math.max(-1, ...heard.map(({ decided }) => decided)));
      }
    }),
  );
});

test('P7 M3: of messages that have to wait, only so many are kept, the latest', () => {
  const core = oneOfThree();
  say(core, OTHER, 0, 0, 5);
  for (let i = 0; i < HELD; i++) say(core, THIRD, 0, 0, i);
  order(core);
  assert.equal(decidedBy(core, OTHER), -1);
  assert.equal(decidedBy(core, THIRD), HELD - 1);
});
