/** Is a backup all that a group goes on from, and is anything else than a whole one refused? */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempDisposableSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { isDataFolder, makeDomainsFolder } from '../data-folder.ts';
import { type ErrorCode, SpareError } from '../errors.ts';
import { digestOf } from '../manager/ballots.ts';
import { RECORD } from '../ordering/store-protocol.ts';
import { Store } from '../ordering/store.ts';
import { encodeBare, encodeRequestEntry } from '../wire/entry.ts';
import { contentDigest } from './container.ts';
import { makeBackup, type MadeBackup } from './make.ts';
import { restore } from './restore.ts';
import type { Verified } from './source.ts';

const SERVICE = 'the service';
/** Somebody waits for it to the end. */
const WANTED = new AbortController().signal;
const SEED = Buffer.alloc(32, 7);
const BASE = Buffer.alloc(200_000, 'base');
const CHECKPOINT = Buffer.alloc(1_200_000, 'checkpoint');

class Place implements Disposable {
  readonly #folder = mkdtempDisposableSync(join(tmpdir(), 'spare-backup-'));
  readonly data: string = this.make('data');
  readonly file: string = join(this.#folder.path, 'a.backup');

  make(name: string): string {
    const path = join(this.#folder.path, name);
    mkdirSync(path);
    return path;
  }

  async open(data: string = this.data): ReturnType<typeof Store.open> {
    return await Store.open(join(data, 'spare.db'), SERVICE);
  }

  /** A store with everything that there can be, and a backup of it. */
  async filled(): Promise<MadeBackup> {
    writeFileSync(join(this.data, 'base'), BASE);
    writeFileSync(join(this.data, 'checkpoint-1'), CHECKPOINT);
    const { store } = await this.open();
    const key = { key: 'k', fingerprint: 'f' };
    const request = encodeRequestEntry(key, Buffer.from('request'), 2, SEED);
    for (const [index, bytes] of [
      encodeBare('start', 1, SEED),
      encodeBare('tick', 2, SEED),
      request,
    ].entries())
      store.writeEntry(index, bytes);
    store.write(RECORD.base, 0, Buffer.from(digestOf(BASE)));
    const checkpoint = { index: 1, file: 'checkpoint-1', digest: digestOf(CHECKPOINT) };
    store.write(RECORD.checkpoint, 1, Buffer.from(JSON.stringify(checkpoint)));
    store.write(RECORD.reply, 2, Buffer.from('reply'));
    store.writeEntry(3, encodeRequestEntry({ key: 'l', fingerprint: 'f' }, Buffer.from('hangs'), 2, SEED));
    store.write(RECORD.skipped, 3, Buffer.from('timeout'));
    store.write(RECORD.forgetReply, 2, Buffer.from('3'));
    store.write(RECORD.update, 2, Buffer.from('update'));
    store.writeDecided(2);
    store.write(RECORD.nextReplica, 9);
    const made = await makeBackup(store, this.data, null, WANTED);
    copyFileSync(made.file, this.file);
    await store.close();
    return made;
  }

  /** Of a backup of what is restored from the one that lies there. */
  async restoredDigest(): Promise<string> {
    this.restore('new');
    const folder = join(this.data, '../new');
    const { store } = await this.open(folder);
    await using stores = new AsyncDisposableStack();
    stores.defer(() => store.close());
    return (await makeBackup(store, folder, null, WANTED)).digest;
  }

  restore(name: string, backup: string = this.file, progress = (): void => {}): Verified {
    const dataFolder = this.make(name);
    makeDomainsFolder(dataFolder);
    return restore({
      backup,
      dataFolder,
      service: SERVICE,
      fits: (other) => other === SERVICE,
      progress,
    });
  }

  refused(code: ErrorCode, name: string): void {
    assert.throws(
      () => this.restore(name),
      (error) => error instanceof SpareError && error.code === code,
    );
    assert.equal(readdirSync(join(this.#folder.path, name)).includes('spare.db'), false);
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

void test('P2: a restored folder has entries, updates, keyed replies, facts and states of the one backed up', async () => {
  using place = new Place();
  const { digest, decided } = await place.filled();
  const restored = place.restore('new');
  assert.deepEqual([restored.digest, restored.decided], [digest, decided]);
  const folder = join(place.data, '../new');
  assert.deepEqual(readFileSync(join(folder, 'base')), BASE);
  assert.deepEqual(readFileSync(join(folder, 'checkpoint-1')), CHECKPOINT);
  const there = await place.open(folder);
  const here = await place.open();
  assert.deepEqual(there.opened, here.opened);
  assert.equal(there.opened.recovery.decided, 2);
  assert.equal(there.opened.recovery.base, digestOf(BASE));
  assert.deepEqual(await Array.fromAsync(there.store.updates(0, 9)), [[Buffer.from('update')]]);
  assert.deepEqual(await there.store.reply(2), Buffer.from('reply'));
  assert.equal((await makeBackup(there.store, folder, null, WANTED)).digest, digest);
  await there.store.close();
  await here.store.close();
  const forgotten = (data: string): unknown => {
    using database = new DatabaseSync(join(data, 'spare.db'));
    return database.prepare('select at, idx from forgotten').get();
  };
  assert.deepEqual(forgotten(folder), forgotten(place.data));
});

void test('P2: a backup of version 1, which says nothing of keys that gave way, is restored', async () => {
  using place = new Place();
  await place.filled();
  using database = new DatabaseSync(place.file);
  database.exec('drop table forgotten; pragma user_version = 1');
  const digest = contentDigest(database);
  database.prepare(`update backup set value = ? where name = 'digest'`).run(digest);
  assert.equal(await place.restoredDigest(), digest);
});

void test('P2: a backup of version 2, which has no sums of rows, is restored', async () => {
  using place = new Place();
  const { digest } = await place.filled();
  using database = new DatabaseSync(place.file);
  for (const table of ['entries', 'updates', 'replies'])
    database.exec(`alter table ${table} drop column sum`);
  database.exec('pragma user_version = 2');
  assert.equal(await place.restoredDigest(), digest);
});

void test('P2: what was restored has sums of its rows, whichever the backup has: its digest says what they are', async () => {
  for (const change of ['sum = sum + 1', 'sum = null']) {
    using place = new Place();
    const { digest } = await place.filled();
    using database = new DatabaseSync(place.file);
    for (const table of ['entries', 'updates', 'replies']) database.exec(`update ${table} set ${change}`);
    assert.equal(await place.restoredDigest(), digest);
    using restored = new DatabaseSync(join(place.data, '../new/backup.new'));
    const unsummed = restored.prepare('select idx from updates where sum is null').all();
    assert.deepEqual(unsummed, []);
  }
});

void test('P2: a row that was changed on disk becomes no part of a backup, which would be taken for whole', async () => {
  for (const table of ['updates', 'replies']) {
    using place = new Place();
    await place.filled();
    using database = new DatabaseSync(join(place.data, 'spare.db'));
    database.exec(`update ${table} set bytes = x'00' where idx = 2`);
    database.close();
    const { store } = await place.open();
    await using stores = new AsyncDisposableStack();
    stores.defer(() => store.close());
    await assert.rejects(makeBackup(store, place.data, null, WANTED), {
      code: 'backup-failed',
      message: /entry 2 is not what was written/,
    });
  }
});

void test('P6: what is restored is known as the data of a group, and so as no part of a service, before one runs in it', async () => {
  using place = new Place();
  await place.filled();
  place.restore('new');
  assert.ok(isDataFolder(join(place.data, '../new')));
});

void test('P2: what is written while a backup is made is in it whole or not at all', async () => {
  using place = new Place();
  const { store } = await place.open();
  store.writeEntry(0, encodeBare('start', 1, SEED));
  for (let index = 1; index < 200; index++) {
    store.writeEntry(index, encodeBare('tick', index, SEED));
    store.write(RECORD.update, index, Buffer.alloc(20_000, index));
    store.writeDecided(index);
  }
  let index = 200;
  const writing = setInterval(() => {
    store.writeEntry(index, encodeBare('tick', index, SEED));
    store.write(RECORD.update, index, Buffer.alloc(20_000, index));
    store.writeDecided(index++);
  }, 1);
  const { file } = await makeBackup(store, place.data, null, WANTED);
  clearInterval(writing);
  await store.close();
  copyFileSync(file, place.file);
  const { decided } = place.restore('new');
  assert.ok(decided >= 199);
  const { store: restored, opened } = await place.open(join(place.data, '../new'));
  assert.ok((opened.entries.at(-1)?.index ?? 0) >= decided);
  assert.equal((await Array.fromAsync(restored.updates(0, decided))).flat().length, decided);
  await restored.close();
});

const DAMAGES: Readonly<Record<string, (path: string) => void>> = {
  'is not what was written there': (path) => writeFileSync(path, readFileSync(path).with(150_000, 0)),
  'no such file': (path) => rmSync(path),
};

for (const [what, damage] of Object.entries(DAMAGES)) {
  for (const name of ['base', 'checkpoint-1']) {
    void test(`P2: a state that is damaged becomes no part of a backup, which would be taken for whole: ${name} ${what}`, async () => {
      using place = new Place();
      await place.filled();
      damage(join(place.data, name));
      const { store } = await place.open();
      await assert.rejects(makeBackup(store, place.data, null, WANTED), (error) => {
        assert.ok(error instanceof SpareError && error.code === 'backup-failed');
        return error.message.includes(name) && error.message.includes(what);
      });
      await store.close();
    });
  }
}

void test('P6: what is being restored is no part of a service in whose folder it lies, nor is what was left of that', async () => {
  using place = new Place();
  await place.filled();
  const folder = join(place.data, '../new');
  const known: boolean[] = [];
  const look = (): void => void (existsSync(join(folder, 'base')) && known.push(isDataFolder(folder)));
  place.restore('new', place.file, look);
  assert.ok(known.length > 0);
  assert.ok(known.every(Boolean));
});

/** Of a state that takes seconds to back up. */
const LARGE_BYTES = 2 * 1024 ** 3;

void test('a backup that nobody waits for any more is given up, and nothing is left of it', async () => {
  using place = new Place();
  await place.filled();
  truncateSync(join(place.data, 'base'), LARGE_BYTES);
  rmSync(join(place.data, 'backup.new'), { force: true });
  const { store } = await place.open();
  for (const bytes of [0, 8 * 1024 ** 2]) {
    const leaving = new AbortController();
    const making = makeBackup(store, place.data, 1, leaving.signal);
    const unfinished = join(place.data, 'backup.new');
    while ((statSync(unfinished, { throwIfNoEntry: false })?.size ?? -1) < bytes) await delay(1);
    leaving.abort();
    await assert.rejects(making, { code: 'backup-failed' });
    assert.deepEqual(
      readdirSync(place.data).filter((name) => name.startsWith('backup')),
      [],
    );
  }
  await store.close();
});

void test('a file that is none, no backup, in use, or of another service is refused', async () => {
  using place = new Place();
  place.refused('backup-missing', 'none');
  writeFileSync(place.file, 'some text that is long enough to be looked at'.repeat(100));
  place.refused('backup-foreign', 'text');
  writeFileSync(place.file, '');
  place.refused('backup-foreign', 'empty');
  const other = new DatabaseSync(place.file);
  other.exec('create table t (a)');
  other.exec('begin exclusive');
  place.refused('backup-foreign', 'written');
  other.exec('commit');
  other.close();
  place.refused('backup-foreign', 'other');
  await place.filled();
  const database = new DatabaseSync(place.file);
  database.exec(`update facts set value = 'another' where name = 'service'`);
  place.refused('backup-foreign', 'service');
  database.exec('pragma user_version = 1000');
  database.close();
  place.refused('backup-foreign', 'version');
});

void test('what cannot be read as a file is refused at once, and said what it is', () => {
  using place = new Place();
  const says = (code: ErrorCode, file: string, what: RegExp): void =>
    assert.throws(
      () => place.restore(`of-${file}`, join(place.data, file)),
      (error) => error instanceof SpareError && error.code === code && what.test(error.message),
    );
  mkdirSync(join(place.data, 'folder'));
  says('backup-missing', 'folder', /folder is a folder/);
  execFileSync('sh', ['-c', 'mkfifo "$0"', join(place.data, 'pipe')]);
  says('backup-missing', 'pipe', /pipe is no regular file/);
  symlinkSync('loop', join(place.data, 'loop'));
  says('backup-failed', 'loop', /loop cannot be read: ELOOP/);
  writeFileSync(join(place.data, 'secret'), 'text', { mode: 0 });
  // To root nothing is forbidden.
  if (process.getuid?.() !== 0) says('backup-failed', 'secret', /secret cannot be read: EACCES/);
});

void test('P2: a backup that was changed or cut anywhere is refused, or what it says is what was backed up', async () => {
  using place = new Place();
  const { digest } = await place.filled();
  const whole = readFileSync(place.file);
  let refusals = 0;
  for (let i = 0; i < 40; i++) {
    const at = Math.floor((whole.length / 40) * i) + (i % 7) * 13;
    const changed = Buffer.from(whole);
    changed.writeUInt8((changed.readUInt8(at) + 1) % 256, at);
    writeFileSync(place.file, changed);
    try {
      assert.equal(place.restore(`changed-${i}`).digest, digest);
      // A byte that means nothing was changed.
      const folder = join(place.data, `../changed-${i}`);
      assert.ok(readFileSync(join(folder, 'base')).equals(BASE));
      assert.ok(readFileSync(join(folder, 'checkpoint-1')).equals(CHECKPOINT));
    } catch (error) {
      refusals++;
      assert.ok(error instanceof SpareError, String(error));
      assert.match(error.code, /^backup-(damaged|foreign)$/);
    }
  }
  assert.ok(refusals > 20, `only ${refusals} were refused`);
  writeFileSync(place.file, whole);
  truncateSync(place.file, whole.length / 2);
  place.refused('backup-damaged', 'cut');
});

void test('a checkpoint is not written outside of the folder, whatever the backup says', async () => {
  using place = new Place();
  await place.filled();
  const database = new DatabaseSync(place.file);
  database.exec(`update facts set value = '{"index":1,"file":"../checkpoint-1"}' where name = 'checkpoint'`);
  database.prepare(`update backup set value = ? where name = 'digest'`).run(contentDigest(database));
  database.close();
  place.refused('backup-failed', 'new');
  assert.equal(readdirSync(join(place.data, '..')).includes('checkpoint-1'), false);
});

void test('P2: what is restored is what was verified, also when another backup takes the place of that meanwhile', async () => {
  using place = new Place();
  const { digest } = await place.filled();
  const { store } = await place.open();
  store.writeEntry(4, encodeBare('tick', 3, SEED));
  const { file } = await makeBackup(store, place.data, null, WANTED);
  await store.close();
  const replace = (): void => void (existsSync(file) && renameSync(file, place.file));
  assert.equal(place.restore('new', place.file, replace).digest, digest);
  const folder = join(place.data, '../new');
  const restored = await place.open(folder);
  assert.equal((await makeBackup(restored.store, folder, null, WANTED)).digest, digest);
  await restored.store.close();
});
