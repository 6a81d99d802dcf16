/** Is a backup refused that cannot come into its place, before it is made? */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempDisposableSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Store } from '../ordering/store.ts';
import { backup } from './backup.ts';

const TARGETS: Readonly<Record<string, [name: string, says: RegExp]>> = {
  'a folder': ['folder', /folder: there is something else than a file/],
  'a pipe': ['pipe', /pipe: there is something else than a file/],
  'in a folder that is not there': ['none/a.backup', /a\.backup: there is no folder .*none/],
  'below a file': ['file/a.backup', /a\.backup: there is no folder .*file/],
};

for (const [what, [name, says]] of Object.entries(TARGETS)) {
  void test(`P2: a backup that has no place is refused before it is made: ${what}`, async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-backup-'));
    const data = join(place.path, 'data');
    for (const folder of ['data', 'folder']) mkdirSync(join(place.path, folder));
    writeFileSync(join(place.path, 'file'), '');
    execFileSync('sh', ['-c', 'mkfifo "$0"', join(place.path, 'pipe')]);
    const { store } = await Store.open(join(data, 'spare.db'), 'the service of this test');
    await store.close();
    const before = readdirSync(data);
    await assert.rejects(
      backup(data, join(place.path, name), () => {}),
      { code: 'backup-failed', message: says },
    );
    assert.deepEqual(readdirSync(data), before);
  });
}
