/** Does the store keep what it says is durable, in order, and refuse what is not its own? */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SpareError } from '../errors.ts';
import { encodeBare, encodeRequestEntry } from '../wire/entry.ts';
import { RECORD } from './store-protocol.ts';
import { Store } from './store.ts';
import { spoil } from './testing.ts';

const SEED = Buffer.alloc(32, 7);
const SERVICE = 'the service of this test';

class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'spare-store-'));
  readonly file: string = join(this.path, 'spare.db');

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

function durable(store: Store, index: number): Promise<void> {
  return new Promise((resolve) => {
    store.onDurable = (through) => {
      if (through >= index) resolve();
    };
  });
}

function refused(code: string): (error: unknown) => boolean {
  return (error) => error instanceof SpareError && error.code === code;
}

/** The entry from which on a key is forgotten. */
function at(index: number): Buffer {
  return Buffer.from(String(index));
}

test('P2: entries, updates and facts that were durable are there after the store is opened again', async () => {
  using folder = new Folder();
  const { store, opened } = await Store.open(folder.file, SERVICE);
  assert.deepEqual(opened.entries, []);
  assert.equal(opened.next, 0);
  assert.equal(opened.recovery.decided, -1);
  const done = durable(store, 2);
  const entries = [encodeBare('start', 1, SEED), encodeBare('tick', 2, SEED), encodeBare('mark', 3, SEED)];
  for (const [index, bytes] of entries.entries()) store.writeEntry(index, bytes);
  await done;
  store.write(RECORD.update, 1, Buffer.from('update'));
  store.writeDecided(1);
  store.write(RECORD.nextReplica, 9);
  await store.close();

  const again = await Store.open(folder.file, SERVICE);
  assert.deepEqual(
    again.opened.entries.map(({ bytes }) => bytes),
    entries,
  );
  assert.equal(again.opened.recovery.decided, 1);
  assert.equal(again.opened.recovery.nextReplica, 9);
  assert.deepEqual(await Array.fromAsync(again.store.updates(0, 5)), [[Buffer.from('update')]]);
  await again.store.close();
});

test('P2: an entry is reported durable only once, in order, and never before those ahead of it', async () => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  const reported: number[] = [];
  const count = 500;
  await new Promise<void>((resolve) => {
    store.onDurable = (index) => {
      reported.push(index);
      if (index === count - 1) resolve();
    };
    for (let index = 0; index < count; index++) {
      setImmediate(() => {
        store.writeEntry(index, encodeBare('tick', index, SEED));
        if (index % 50 === 0) void store.durable();
      });
    }
  });
  assert.deepEqual(
    reported,
    [...reported].sort((a, b) => a - b),
  );
  assert.ok(
    reported.length < count / 2,
    `${reported.length} batches for ${count} entries: fsyncs are shared`,
  );
  await store.close();
});

test('an entry that came during a batch waits for company, but not once it is decided', async (context) => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  // The time that a batch may wait never comes.
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const first = durable(store, 0);
  store.writeEntry(0, encodeBare('start', 0, SEED));
  await new Promise(setImmediate);
  store.writeEntry(1, encodeBare('tick', 1, SEED));
  await first;
  const reported: number[] = [];
  store.onDurable = (index) => reported.push(index);
  await store.reply(0);
  assert.deepEqual(reported, [1], 'who reads flushes first');
  const third = durable(store, 2);
  store.writeEntry(2, encodeBare('tick', 2, SEED));
  await third;
  const last = durable(store, 4);
  store.writeEntry(3, encodeBare('tick', 3, SEED));
  await new Promise(setImmediate);
  store.writeEntry(4, encodeBare('tick', 4, SEED));
  store.writeDecided(4);
  await last;
  context.mock.timers.reset();
  await store.close();
});

test('P2: what is read sees all that was written before it', async () => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  store.writeEntry(0, encodeRequestEntry({ key: 'k', fingerprint: 'f' }, Buffer.from('request'), 1, SEED));
  store.write(RECORD.reply, 0, Buffer.from('reply'));
  assert.deepEqual(await store.reply(0), Buffer.from('reply'));
  store.write(RECORD.forgetReply, 0, at(0));
  assert.equal(await store.reply(0), null);
  await store.close();
});

test('P2 K1: a key is forgotten with the order up to the entry that it gave way to, and not before', async () => {
  using folder = new Folder();
  const opening = await Store.open(folder.file, SERVICE);
  for (const index of [0, 1, 2, 3]) {
    const key = { key: `k${index}`, fingerprint: 'f' };
    opening.store.writeEntry(index, encodeRequestEntry(key, Buffer.from('request'), 1, SEED));
  }
  opening.store.write(RECORD.forgetReply, 0, at(2));
  opening.store.write(RECORD.forgetReply, 1, at(3));
  const known = async (store: Store, first: number): Promise<string[]> => {
    const facts = Buffer.from(JSON.stringify({ first, timeMs: 5, tickMs: 4 }));
    store.writeDecided(first - 1);
    store.write(RECORD.truncateOrder, first - 1, facts);
    await store.close();
    const { store: next, opened } = await Store.open(folder.file, SERVICE);
    await next.close();
    assert.equal(opened.next, 4, 'also where of the order nothing is left but entry 0');
    return opened.keys.map(({ key }) => key);
  };
  const reopen = async (): Promise<Store> => (await Store.open(folder.file, SERVICE)).store;
  assert.deepEqual(await known(opening.store, 2), ['k0', 'k1'], 'entry 2 comes again');
  assert.deepEqual(await known(await reopen(), 3), ['k1', 'k2']);
  assert.deepEqual(await known(await reopen(), 4), ['k2', 'k3']);
  using db = new DatabaseSync(folder.file);
  assert.equal(db.prepare('select count(*) as n from replies').get()?.['n'], 2);
});

test('P2: truncating keeps entry 0, what comes after, and where the order goes on; keys outlive their entries', async () => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  store.writeEntry(0, encodeBare('start', 1, SEED));
  store.writeEntry(1, encodeRequestEntry({ key: 'k', fingerprint: 'f' }, Buffer.from('request'), 1, SEED));
  store.writeEntry(2, encodeBare('tick', 2, SEED));
  store.write(RECORD.update, 1, Buffer.from('one'));
  store.write(RECORD.update, 2, Buffer.from('two'));
  store.writeDecided(1);
  store.write(RECORD.truncateOrder, 1, Buffer.from(JSON.stringify({ first: 2, timeMs: 5, tickMs: 4 })));
  store.write(RECORD.truncateUpdates, 1);
  await store.close();
  const again = await Store.open(folder.file, SERVICE);
  assert.deepEqual(
    again.opened.entries.map(({ index }) => index),
    [0, 2],
  );
  assert.deepEqual(again.opened.recovery, {
    first: 2,
    timeMs: 5,
    tickMs: 4,
    decided: 1,
    nextReplica: 0,
    updateBytes: 3,
    checkpoint: null,
    base: null,
  });
  assert.deepEqual(again.opened.keys, [{ index: 1, key: 'k', fingerprint: 'f' }]);
  assert.deepEqual(await Array.fromAsync(again.store.updates(0, 9)), [[Buffer.from('two')]]);
  await again.store.close();
});

test('P2 K1: that an entry with a key was skipped, and why, is there after the store is opened again, until its key goes', async () => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  const key = { key: 'k', fingerprint: 'f' };
  for (const index of [0, 1])
    store.writeEntry(index, encodeRequestEntry(key, Buffer.from('request'), 1, SEED));
  store.writeEntry(2, encodeBare('tick', 2, SEED));
  for (const index of [0, 2]) store.write(RECORD.skipped, index, Buffer.from('poison'));
  assert.equal(await store.reply(0), null, 'a reason is no reply');
  await store.close();
  const next = await Store.open(folder.file, SERVICE);
  assert.deepEqual(next.opened.skips, [{ index: 0, reason: 'poison' }]);
  next.store.write(RECORD.forgetReply, 0, at(1));
  next.store.writeDecided(1);
  next.store.write(RECORD.truncateOrder, 1, Buffer.from(JSON.stringify({ first: 2, timeMs: 5, tickMs: 4 })));
  await next.store.close();
  const last = await Store.open(folder.file, SERVICE);
  assert.deepEqual(last.opened.skips, []);
  await last.store.close();
});

test('P7: a long order is let go a little with every batch, and is never taken up again', async () => {
  using folder = new Folder();
  const count = 3000;
  const { store } = await Store.open(folder.file, SERVICE);
  for (let index = 0; index < count; index++) store.writeEntry(index, encodeBare('tick', index, SEED));
  const facts = Buffer.from(JSON.stringify({ first: count - 1, timeMs: 5, tickMs: 4 }));
  store.writeDecided(count - 2);
  store.write(RECORD.truncateOrder, count - 2, facts);
  await store.close();
  const next = await Store.open(folder.file, SERVICE);
  assert.deepEqual(
    next.opened.entries.map(({ index }) => index),
    [0, count - 1],
  );
  next.store.write(RECORD.truncateOrder, count - 2, facts);
  for (let i = 0; i < 20; i++) {
    next.store.writeDecided(i);
    await next.store.durable();
  }
  await next.store.close();
  using db = new DatabaseSync(folder.file);
  assert.equal(db.prepare('select count(*) as n from entries').get()?.['n'], 2);
});

test('what becomes durable waits for a few of the updates that are read, not for all', async (context) => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  context.after(() => store.close());
  const count = 5000;
  for (let index = 1; index <= count; index++) store.write(RECORD.update, index, Buffer.from(`${index}`));
  await store.durable();
  let isDurable = false;
  void durable(store, 0).then(() => (isDurable = true));
  const read: string[] = [];
  let before = 0;
  for await (const part of store.updates(1, count)) {
    if (read.length === 0) store.writeEntry(0, encodeBare('tick', 1, SEED));
    if (!isDurable) before += part.length;
    read.push(...part.map(String));
  }
  assert.deepEqual(
    read,
    Array.from({ length: count }, (_, i) => `${i + 1}`),
  );
  assert.ok(isDurable && before <= count / 2, `${before} were read first`);
});

test('P7: large updates are let go of some megabytes with every batch, and as fast as others come', async (context) => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  context.after(() => store.close());
  const [count, size] = [40, 1024 ** 2];
  const write = (index: number): void => store.write(RECORD.update, index, Buffer.alloc(size, index));
  for (let index = 1; index <= count; index++) write(index);
  await store.durable();
  const left = async (): Promise<number> => (await Array.fromAsync(store.updates(0, 999))).flat().length;
  store.write(RECORD.truncateUpdates, count);
  assert.ok((await left()) > count / 2, 'not all at once');
  for (let i = 0; i < count; i++) {
    store.writeDecided(i);
    await store.durable();
  }
  assert.equal(await left(), 0);
  for (let index = count + 1; index <= 2 * count; index++) write(index);
  await store.durable();
  store.write(RECORD.truncateUpdates, 2 * count);
  for (let index = 2 * count + 1; index <= 3 * count; index++) write(index);
  assert.equal(await left(), count, 'what came in this batch alone is as much');
});

test("P7: SQLite's log of what was written stays small, and what was in it is kept", async () => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  const update = Buffer.alloc(1024 ** 2, 'x');
  const count = 32;
  for (let index = 0; index < count; index++) {
    const done = durable(store, index);
    store.writeEntry(index, encodeBare('tick', index, SEED));
    store.write(RECORD.update, index, update);
    await done;
  }
  assert.ok(statSync(`${folder.file}-wal`).size < 8 * update.length);
  const read = (await Array.fromAsync(store.updates(0, count))).flat();
  assert.deepEqual(
    read.map(({ length }) => length),
    Array(count).fill(update.length),
  );
  await store.close();
});

test('a second manager, another service, and what is no store are refused', async () => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  await assert.rejects(Store.open(folder.file, SERVICE), refused('data-folder-in-use'));
  await store.close();
  await assert.rejects(Store.open(folder.file, 'another service'), refused('data-folder-foreign'));
  const garbage = join(folder.path, 'garbage.db');
  writeFileSync(garbage, Buffer.alloc(8192, 1));
  await assert.rejects(Store.open(garbage, SERVICE), refused('data-folder-damaged'));
  await assert.rejects(
    Store.open(join(folder.path, 'no', 'such'), SERVICE),
    refused('data-folder-unwritable'),
  );
});

test('P2: a disk that fails while the store is opened is told as that: who chose another folder would begin anew', async () => {
  using folder = new Folder();
  // Cannot be read.
  symlinkSync('/proc/self/mem', folder.file);
  await assert.rejects(Store.open(folder.file, SERVICE), {
    code: 'storage-failed',
    message: `Using ${folder.file} failed: disk I/O error.`,
  });
});

test('what a newer Spare wrote is refused, and left as it is', async () => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  await store.close();
  const writeFormat = (change: number): number => {
    using db = new DatabaseSync(folder.file);
    const format = Number(db.prepare('pragma user_version').get()?.['user_version']) + change;
    db.exec(`pragma user_version = ${format}`);
    return format;
  };
  const newer = writeFormat(1);
  await assert.rejects(Store.open(folder.file, SERVICE), refused('data-folder-foreign'));
  assert.equal(writeFormat(-1), newer - 1);
  const { store: again } = await Store.open(folder.file, SERVICE);
  await again.close();
});

test('P2: a store that fails says so once, and can be closed after it', async () => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  const failed = new Promise<SpareError>((resolve) => (store.onFailure = resolve));
  spoil(store);
  const error = await failed;
  assert.equal(error.code, 'storage-failed');
  assert.ok(error.message.includes(folder.file), error.message);
  await delay(100);
  await store.close();
});

test('P2: whoever waits for a store that fails is refused, and so is whoever asks later', async () => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  spoil(store);
  const asked = [
    store.durable(),
    store.reply(0),
    store.copy(join(folder.path, 'copy')),
    Array.fromAsync(store.updates(0, 1)),
  ];
  await Promise.all(asked.map((answer) => assert.rejects(answer, refused('storage-failed'))));
  await assert.rejects(store.durable(), refused('storage-failed'));
  await store.close();
});

test('P2: whoever waits for a store that is closed gets an answer, and whoever asks later is refused', async () => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  for (let index = 1; index <= 3; index++)
    store.write(RECORD.update, index, Buffer.alloc(5 * 1024 ** 2, index));
  const updates = store.updates(1, 3);
  assert.equal((await updates.next()).value?.length, 1);
  const asked = store.reply(0);
  const closing = store.close();
  assert.equal(await asked, null, 'what was asked before is answered');
  await assert.rejects(updates.next(), refused('storage-failed'));
  await closing;
  await assert.rejects(store.durable(), refused('storage-failed'));
  await store.close();
});

test('P2: a copy that cannot be begun is refused, and all else goes on', async () => {
  using folder = new Folder();
  const { store } = await Store.open(folder.file, SERVICE);
  await assert.rejects(store.copy(join(folder.path, 'none', 'copy')), /ENOENT/);
  const done = durable(store, 0);
  store.writeEntry(0, encodeBare('start', 0, SEED));
  await done;
  await store.close();
});

/** In all threads: as of a disk that fails, no folder can be closed. */
const CLOSE_FAILS = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const { closeSync } = fs;
  fs.closeSync = (fd) => {
    const isFolder = fs.fstatSync(fd).isDirectory();
    closeSync(fd);
    if (isFolder) throw new Error('EIO: i/o error, close');
  };
  syncBuiltinESMExports();`;

test('P2: a copy that cannot be begun, and whose file cannot be closed either, is refused, and all else goes on', () => {
  using folder = new Folder();
  // SQLite writes to no folder.
  const script = `
    import { Store } from ${JSON.stringify(new URL('./store.ts', import.meta.url).href)};
    const { store } = await Store.open(${JSON.stringify(folder.file)}, 'the service');
    await store.copy(${JSON.stringify(folder.path)}).catch((error) => process.stdout.write(error.message));
    await store.durable();
    await store.close();`;
  const patch = `data:text/javascript,${encodeURIComponent(CLOSE_FAILS)}`;
  const args = ['--import', patch, '--eval', script];
  const ended = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 });
  assert.deepEqual([ended.status, ended.stdout], [0, 'EIO: i/o error, close'], ended.stderr);
});
