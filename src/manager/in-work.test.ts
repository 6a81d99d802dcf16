/** Is a client told what was decided, and nothing once the store has failed? */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digest, index } from '../core/index.ts';
import { Store } from '../ordering/store.ts';
import { encodeBare } from '../wire/entry.ts';
import { InWork } from './in-work.ts';

test('P2: a client whose reply was to be read from a store that failed gets none, and nothing else fails of that', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'spare-in-work-'));
  const { store } = await Store.open(join(folder, 'spare.db'), 'the service of this test');
  const work = new InWork(store, () => {});
  const told: unknown[] = [];
  work.waits(1, (verdict) => told.push(verdict));
  // No index is written twice: this failure of the store is like that of a full disk.
  for (let i = 0; i < 2; i++) store.writeEntry(1, encodeBare('tick', 1, Buffer.alloc(32)));
  work.answer(1, { type: 'reply', of: index(0), digest: digest('kept on disk') }, '');
  await assert.rejects(store.durable());
  // In a turn of the loop an unhandled rejection would have ended the test.
  await new Promise(setImmediate);
  assert.deepEqual(told, []);
  await store.close();
  rmSync(folder, { recursive: true });
});
