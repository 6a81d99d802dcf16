/** Is a backup refused that cannot come into its place, before it is made, and a restore where another one is at work? */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempDisposableSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ErrorCode, SpareError } from '../errors.ts';
import { digestOf } from '../manager/ballots.ts';
import { RECORD } from '../ordering/store-protocol.ts';
import { Store } from '../ordering/store.ts';
import { onFullDisk } from '../testing.ts';
import { encodeBare } from '../wire/entry.ts';
import { backup, restoreInto } from './backup.ts';
import { exportInto } from './export.ts';
import { type Settings, settle } from './settings.ts';
import { serviceName } from './service-name.ts';

/** Somebody waits for it to the end. */
const WANTED = new AbortController().signal;

const TARGETS: Readonly<Record<string, [name: string, says: RegExp]>> = {
  'a folder': ['folder', /folder: there is something else than a file/],
  'a pipe': ['pipe', /pipe: there is something else than a file/],
  'in a folder that is not there': ['none/a.backup', /a\.backup: there is no folder .*none/],
  'below a file': ['file/a.backup', /a\.backup: there is no folder .*file/],
  "the store's file": ['data/spare.db', /spare\.db: it is in the data folder/],
  'a checkpoint': ['data/checkpoint-3', /checkpoint-3: it is in the data folder/],
  'what is made there first': ['data/backup.new', /backup\.new: it is in the data folder/],
  'below the data folder': ['data/incidents/a.backup', /a\.backup: it is in the data folder/],
  'in a folder that takes no file': ['proc/a.backup', /proc\/a\.backup: (ENOENT|EACCES)/],
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
    symlinkSync('/proc', join(place.path, 'proc'));
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

/** A backup, and the settings of a service that it is of. */
async function backedUp(place: string): Promise<{ file: string; settings: Settings }> {
  const settings = settle({ command: ['node'], state: ['a.db'], data: 'restored' }, place);
  const data = join(place, 'data');
  mkdirSync(data);
  const { store } = await Store.open(join(data, 'spare.db'), serviceName(settings, place));
  store.writeEntry(0, encodeBare('start', 1, Buffer.alloc(32)));
  await store.close();
  const file = join(place, 'a.backup');
  await backup(data, file, () => {}, new AbortController().signal);
  return { file, settings };
}

void test('P2: of two restores into one folder one is refused, and takes nothing of the other with it', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-restore-'));
  const { file, settings } = await backedUp(place.path);
  const outcomes: unknown[] = [];
  const attempt = (during: () => void): void => {
    try {
      outcomes.push(restoreInto(settings, file, during).decided);
    } catch (error) {
      outcomes.push(error instanceof SpareError ? error.code : error);
    }
  };
  let first = true;
  attempt(() => {
    if (first) attempt(() => {});
    first = false;
  });
  assert.deepEqual(outcomes, ['data-folder-damaged', -1]);
  assert.ok(existsSync(join(settings.data, 'spare.db')));
});

void test('a state is exported whole into a new or an empty folder, or nothing is', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-export-'));
  const { file, settings } = await backedUp(place.path);
  const path = (name: string): string => join(place.path, name);
  const to = (name: string, from = file): Promise<unknown> =>
    exportInto(settings, from, path(name), () => {}, WANTED);
  for (const name of ['full', 'empty', 'restored']) mkdirSync(path(name));
  writeFileSync(path('full/a.db'), 'mine');
  writeFileSync(path('damaged'), readFileSync(file).fill(1, 5000, 9000));
  const before = readdirSync(place.path);
  const refused: [() => Promise<unknown>, ErrorCode, RegExp][] = [
    [() => to('full'), 'backup-failed', /full: there is something already/],
    [() => to('a.backup'), 'backup-failed', /a\.backup: there is something already/],
    [() => to('none/out'), 'backup-failed', /there is no folder .*none/],
    [() => to('restored/out'), 'backup-failed', /it is in the data folder/],
    [() => to('out', path('damaged')), 'backup-damaged', /damaged/],
    [() => to('out', path('other')), 'backup-missing', /other/],
  ];
  for (const [action, code, message] of refused) await assert.rejects(action, { code, message });
  assert.deepEqual(readdirSync(place.path), before);
  for (const name of ['empty', 'new']) {
    await to(name);
    assert.deepEqual(readdirSync(path(name)), ['a.db']);
  }
});

void test('a state is exported into the empty folder that is there, as one that a disk is mounted at, not into another in its place', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-export-'));
  const { file, settings } = await backedUp(place.path);
  const [folder, link] = [join(place.path, 'folder'), join(place.path, 'link')];
  mkdirSync(folder);
  symlinkSync(folder, link);
  const { ino } = statSync(folder);
  writeFileSync(join(place.path, 'damaged'), readFileSync(file).fill(1, 5000, 9000));
  const into = (from: string): Promise<unknown> => exportInto(settings, from, link, () => {}, WANTED);
  await assert.rejects(into(join(place.path, 'damaged')), { code: 'backup-damaged' });
  assert.deepEqual(readdirSync(folder), []);
  await into(file);
  assert.deepEqual(readdirSync(folder), ['a.db']);
  assert.equal(statSync(folder).ino, ino);
});

void test('P2: a group that has not begun is not backed up: another database, where that is restored, would be what it begins with', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-backup-'));
  const { store } = await Store.open(join(place.path, 'spare.db'), 'the service of this test');
  writeFileSync(join(place.path, 'base'), 'what was there');
  store.write(RECORD.base, 0, Buffer.from(digestOf(Buffer.from('what was there'))));
  await store.close();
  using target = mkdtempDisposableSync(join(tmpdir(), 'spare-backup-'));
  const file = join(target.path, 'a.backup');
  await assert.rejects(
    backup(place.path, file, () => {}, new AbortController().signal),
    { code: 'backup-failed', message: /no group has begun/ },
  );
  assert.deepEqual(readdirSync(target.path), []);
  assert.ok(!readdirSync(place.path).includes('backup.new'));
});

void test('P2: who backs up on a full disk is told to make room', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-backup-'));
  const data = join(place.path, 'data');
  mkdirSync(data);
  const { store } = await Store.open(join(data, 'spare.db'), 'the service of this test');
  await store.close();
  const [module, target] = [import.meta.resolve('./backup.ts'), join(place.path, 'a.backup')];
  const script = `
    import { backup } from ${JSON.stringify(module)};
    const [data, target] = ${JSON.stringify([data, target])};
    const refused = await backup(data, target, () => {}, new AbortController().signal).catch((error) => error);
    process.stdout.write(refused.message + refused.hint);
  `;
  assert.match(onFullDisk(0, script), /Cannot lock .*backup\.lock: .*room/);
});
