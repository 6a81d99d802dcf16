/** Is a group that goes on left room for all that it may write meanwhile? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bytesToGoOn } from './room.ts';

const STATE_BYTES = 1024 ** 3;

test('P2: the next checkpoint takes f+1 exports of the state, while the one before it stays', () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-room-'));
  for (const faults of [1, 2, 4]) {
    const checkpoint = join(folder.path, 'checkpoint-7');
    writeFileSync(checkpoint, '');
    const without = bytesToGoOn(folder.path, faults);
    truncateSync(checkpoint, STATE_BYTES);
    assert.equal(bytesToGoOn(folder.path, faults) - without, (faults + 1) * STATE_BYTES);
  }
});
