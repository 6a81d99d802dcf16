/** Is a backup refused that cannot come into its place, before it is made? */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempDisposableSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
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
  "the store's file": ['data/spare.db', /spare\.db: it is in the data folder/],
  'a checkpoint': ['data/checkpoint-3', /checkpoint-3: it is in the data folder/],
  'what is made there first': ['data/backup.new', /backup\.new: it is in the data folder/],
  'below the data folder': ['data/incidents/a.backup', /a\.backup: it is in the data folder/],
  'in the data folder by another name': ['link/spare.db', /spare\.db: it is in the data folder/],
};

/** Their names, and which files these are. */
const filesIn = (folder: string): string[] =>
  readdirSync(folder).map((name) => `${name} ${statSync(join(folder, name)).ino}`);

for (const [what, [name, says]] of Object.entries(TARGETS)) {
  void test(`P2: a backup that has no place is refused before it is made: ${what}`, async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-backup-'));
    const data = join(place.path, 'data');
    for (const folder of ['data', 'folder', 'data/incidents']) mkdirSync(join(place.path, folder));
    symlinkSync('data', join(place.path, 'link'));
    writeFileSync(join(place.path, 'file'), '');
    execFileSync('sh', ['-c', 'mkfifo "$0"', join(place.path, 'pipe')]);
    const { store } = await Store.open(join(data, 'spare.db'), 'the service of this test');
    await store.close();
    const before = filesIn(data);
    await assert.rejects(
      backup(data, join(place.path, name), () => {}, new AbortController().signal),
      { code: 'backup-failed', message: says },
    );
    assert.deepEqual(filesIn(data), before);
  });
}
