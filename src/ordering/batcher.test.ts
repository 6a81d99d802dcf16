/** Do those who wait for the disk wait for one fsync, and does nobody wait for those who do not? */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Batcher } from './batcher.ts';
import { RECORD } from './store-protocol.ts';

const NOTHING = new Uint8Array(0);
/** Longer than any record waits. */
const LONG_MS = 100;

/** The sizes of the batches sent; time goes on only when told. */
function started(last = -1): { batcher: Batcher; batches: number[]; [Symbol.dispose]: () => void } {
  mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] });
  const batches: number[] = [];
  const batcher = new Batcher(last, (records) => batches.push(records.length));
  return { batcher, batches, [Symbol.dispose]: () => mock.timers.reset() };
}

void test('T1: what comes in one turn of the loop is one batch, and what comes meanwhile the next one', () => {
  using here = started();
  const { batcher, batches } = here;
  for (let i = 0; i < 3; i++) batcher.entry(i, NOTHING);
  assert.deepEqual(batches, []);
  mock.timers.tick(0);
  assert.deepEqual(batches, [3]);
  batcher.entry(3, NOTHING);
  batcher.other({ kind: RECORD.decided, index: 2, bytes: NOTHING });
  mock.timers.tick(LONG_MS);
  assert.deepEqual(batches, [3], 'one at a time');
  assert.equal(batcher.stored(), 2);
  batcher.next();
  mock.timers.tick(LONG_MS);
  assert.deepEqual(batches, [3, 2]);
  assert.equal(batcher.stored(), 3);
});

void test('T1: a batch gathers until it is full, or one of its entries is decided', () => {
  using here = started();
  const { batcher, batches } = here;
  batcher.entry(0, NOTHING);
  mock.timers.tick(0);
  batcher.entry(1, NOTHING);
  batcher.stored();
  batcher.next();
  mock.timers.tick(1);
  assert.deepEqual(batches, [1], 'it waits for more');
  batcher.decided(0);
  assert.deepEqual(batches, [1], 'that one is stored');
  batcher.decided(1);
  assert.deepEqual(batches, [1, 2], 'somebody waits for the disk alone; what is decided goes along');
  for (let i = 2; i < 200; i++) batcher.entry(i, NOTHING);
  assert.equal(batcher.stored(), 1);
  batcher.next();
  assert.deepEqual(batches, [1, 2, 198]);
  batcher.entry(200, NOTHING);
  batcher.decided(200);
  assert.deepEqual(batches, [1, 2, 198], 'one at a time');
  batcher.stored();
  batcher.next();
  assert.deepEqual(batches, [1, 2, 198, 2], 'it was decided meanwhile');
});

void test('T1: what nobody waits for goes by itself in the end, or with what is sent before', () => {
  using here = started(9);
  const { batcher, batches } = here;
  batcher.decided(7);
  mock.timers.tick(1);
  assert.deepEqual(batches, []);
  mock.timers.tick(LONG_MS);
  assert.deepEqual(batches, [1]);
  assert.equal(batcher.stored(), 9, 'no more than before');
  batcher.next();
  batcher.decided(8);
  batcher.flush();
  assert.deepEqual(batches, [1, 1]);
  mock.timers.tick(LONG_MS);
  batcher.stored();
  batcher.next();
  mock.timers.tick(LONG_MS);
  assert.deepEqual(batches, [1, 1], 'once');
});

void test('T1: what nobody waits for goes no sooner because something was sent just before', () => {
  using here = started();
  const { batcher, batches } = here;
  batcher.entry(0, NOTHING);
  mock.timers.tick(0);
  batcher.decided(0);
  batcher.stored();
  batcher.next();
  mock.timers.tick(10);
  assert.deepEqual(batches, [1]);
  mock.timers.tick(LONG_MS);
  assert.deepEqual(batches, [1, 1]);
});

void test('T1: of what was stored before a restart nobody waits for the disk', () => {
  using here = started(9);
  const { batcher, batches } = here;
  batcher.entry(10, NOTHING);
  batcher.decided(9);
  assert.deepEqual(batches, []);
  batcher.decided(10);
  assert.deepEqual(batches, [2]);
});

void test('T1: what comes later goes by itself, too, though what came before was sent earlier than it would have gone', () => {
  using here = started(0);
  const { batcher, batches } = here;
  const stored = (): void => {
    batcher.stored();
    batcher.next();
  };
  const sends = (count: number): void => {
    mock.timers.tick(LONG_MS);
    assert.deepEqual(batches.splice(0), [count]);
  };
  batcher.decided(0);
  batcher.entry(1, NOTHING);
  sends(2);
  stored();
  batcher.decided(1);
  sends(1);
  batcher.entry(2, NOTHING);
  stored();
  batcher.decided(2);
  assert.deepEqual(batches.splice(0), [2], 'it was gathering');
  batcher.entry(3, NOTHING);
  stored();
  sends(1);
  stored();
  batcher.entry(4, NOTHING);
  batcher.flush();
  assert.deepEqual(batches.splice(0), [1], 'at once');
  stored();
  batcher.entry(5, NOTHING);
  sends(1);
  batcher.entry(6, NOTHING);
  batcher.flush();
  assert.deepEqual(batches.splice(0), [1], 'two are under way');
  batcher.entry(7, NOTHING);
  stored();
  mock.timers.tick(LONG_MS);
  assert.deepEqual(batches, []);
  stored();
  sends(1);
});
