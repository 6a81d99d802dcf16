/** Is a client told what was decided, once, and nothing when the store has failed; and is an entry kept as long as it is in work? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digest, index, replicaId } from '../core/index.ts';
import { Store } from '../ordering/store.ts';
import { spoil } from '../ordering/testing.ts';
import { InWork } from './in-work.ts';

const SERVICE = 'the service of this test';
const TIME_MS = 1000;

test('W1 W2: a client is told the reply once; the entry and what was voted are at hand until its release, and of no other', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-in-work-'));
  const { store } = await Store.open(join(folder.path, 'spare.db'), SERVICE);
  const work = new InWork(store, -1, () => {});
  const [entry, bytes, update] = ['an entry', 'a reply', 'an update'].map((text) => Buffer.from(text));
  assert.ok(entry !== undefined && bytes !== undefined && update !== undefined);
  const told: unknown[] = [];
  work.take(1, entry, (verdict) => told.push(verdict));
  assert.equal(work.execute(1, TIME_MS), entry);
  const vote = work.cast(replicaId('r0'), 1, bytes, update);
  const outcome = { type: 'reply', of: index(1), digest: vote.reply } as const;
  for (let i = 0; i < 2; i++) work.answer(1, outcome, '');
  assert.deepEqual(told, [{ type: 'reply', bytes, timeMs: TIME_MS }]);
  assert.equal(work.entry(1), entry);
  assert.equal(work.ballots.update(1, vote.update), update);
  work.release(1);
  assert.equal(work.entry(1), null);
  assert.equal(work.ballots.update(1, vote.update), null);
  assert.deepEqual(work.cast(replicaId('r0'), 1, bytes, update), vote);
  assert.deepEqual(work.ballots.votes(1), []);
  await store.close();
});

test('P2: a client whose reply was to be read from a store that failed gets none, and nothing else fails of that', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-in-work-'));
  const { store } = await Store.open(join(folder.path, 'spare.db'), SERVICE);
  const work = new InWork(store, -1, () => {});
  const told: unknown[] = [];
  work.take(1, Buffer.from('an entry'), (verdict) => told.push(verdict));
  spoil(store);
  work.answer(1, { type: 'reply', of: index(0), digest: digest('kept on disk') }, '');
  await assert.rejects(store.durable());
  // In a turn of the loop an unhandled rejection would have ended the test.
  await new Promise(setImmediate);
  assert.deepEqual(told, []);
  await store.close();
});
