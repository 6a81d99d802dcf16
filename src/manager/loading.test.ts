import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loading } from './loading.ts';

test('a state that takes long to be sent is told of every few seconds, one that does not is not', async (context) => {
  context.mock.timers.enable({ apis: ['Date'], now: 0 });
  async function* frames(eachMs: number): AsyncIterable<Buffer[]> {
    for (let i = 0; i < 10; i++) {
      context.mock.timers.setTime(Date.now() + eachMs);
      yield [Buffer.alloc(1), Buffer.alloc(99)];
    }
  }
  for (const [eachMs, expected] of [
    [400, []],
    [2000, [30, 60, 90]],
  ] as const) {
    const told: number[] = [];
    const passed = await Array.fromAsync(loading(frames(eachMs), 1000, (percent) => told.push(percent)));
    assert.equal(Buffer.concat(passed.flat()).length, 1000);
    assert.deepEqual(told, expected);
  }
});
