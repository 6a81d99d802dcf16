/** Is a client told what was decided, and nothing once the store has failed? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digest, index } from '../core/index.ts';
import { Store } from '../ordering/store.ts';
import { spoil } from '../ordering/testing.ts';
import { InWork } from './in-work.ts';

test('P2: a client whose reply was to be read from a store that failed gets none, and nothing else fails of that', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-in-work-'));
  const { store } = await Store.open(join(folder.path, 'spare.db'), 'the service of this test');
  const work = new InWork(store, -1, () => {});
  const told: unknown[] = [];
  work.waits(1, (verdict) => told.push(verdict));
  spoil(store);
  work.answer(1, { type: 'reply', of: index(0), digest: digest('kept on disk') }, '');
  await assert.rejects(store.durable());
  // In a turn of the loop an unhandled rejection would have ended the test.
  await new Promise(setImmediate);
  assert.deepEqual(told, []);
  await store.close();
});
