/** Is a new version refused that would fill the disk, also where it cannot be told what a replica has there? */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempDisposableSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { freeBytes } from '../room.ts';
import { replaceTool } from '../testing.ts';
import { checkRoomBeside } from './room.ts';

for (const unknown of [1, 2]) {
  test(`P2: what ${unknown} of two replicas has on disk cannot be told: the new version is counted all the same`, async (context) => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-room-'));
    const folder = place.path;
    const third = Math.floor((freeBytes(folder) ?? 0) / 3);
    const script = `case $3 in */unknown*) exit 1;; *) echo ${Math.floor(third / 1024)};; esac`;
    replaceTool(context, folder, 'du', script);
    const data = join(folder, 'data');
    mkdirSync(data);
    const state = join(data, 'checkpoint-7');
    writeFileSync(state, '');
    // A hole, which takes no room. The group itself has room to go on.
    truncateSync(state, third - 256 * 1024 ** 2);
    const active = ['unknown-1', unknown === 2 ? 'unknown-2' : 'known'].map((name) => join(folder, name));
    await assert.rejects(checkRoomBeside(active, 1, data, new AbortController().signal), {
      code: 'deploy-failed',
    });
  });
}
