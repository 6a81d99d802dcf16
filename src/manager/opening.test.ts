/** What a replica is sent first, and how long it may take for that. */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Store } from '../ordering/store.ts';
import { openingOf } from './opening.ts';
import { REPORT_MS } from './options.ts';
import { Snapshots } from './snapshots.ts';
import { imageIn, MIB } from './testing.ts';
import { UpdateLog } from './updates.ts';
import { Verified } from './verified.ts';

const LIMITS = { frameBytesMax: MIB, replyBytesMax: MIB, startTimeoutMs: 30_000 };

void test('P6: the start of a machine may take longer for a large state, which it is sent before', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-opening-'));
  const { store } = await Store.open(join(folder.path, 'store.db'), null);
  const path = join(folder.path, 'checkpoint-5');
  writeFileSync(path, '');
  truncateSync(path, 400 * MIB);
  const checkpoint = { index: 5, file: 'checkpoint-5' };
  const snapshots = new Snapshots(folder.path, 1000 * MIB, { checkpoint, base: null });
  const verified = new Verified(snapshots, new UpdateLog(store, 5));
  const image = imageIn(folder.path);
  const version = { variants: [image], digest: '', check: async () => [] };
  const entry = { timeMs: 0, seed: Buffer.alloc(32) };
  const opened = { version, image, port: 8000, entry, founds: false, onPresent: true };
  const { timeoutMs } = openingOf(opened, LIMITS, verified, () => {});
  assert.equal(timeoutMs, LIMITS.startTimeoutMs + REPORT_MS + 100_000);
  await store.close();
});
