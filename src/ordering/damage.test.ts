/** Is a store in which something was changed refused in plain words, wherever that is, unless nothing shows of it? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { SpareError } from '../errors.ts';
import { coreEntry, decodeEntry, encodeBare, encodeCommand, encodeRequestEntry } from '../wire/entry.ts';
import { RECORD } from './store-protocol.ts';
import { Store } from './store.ts';

const SEED = Buffer.alloc(32, 7);
const SERVICE = 'the service of this test';
const PAGE_BYTES = 4096;
const ENTRIES = 40;

/** Of every kind, with overflow pages and without. */
async function fill(file: string): Promise<void> {
  const { store } = await Store.open(file, SERVICE);
  store.writeEntry(0, encodeBare('start', 1, SEED));
  for (let index = 1; index < ENTRIES; index++) {
    const key = { key: `key ${index}`, fingerprint: 'f'.repeat(64) };
    store.writeEntry(index, encodeRequestEntry(key, Buffer.alloc(400, index), index, SEED));
    store.write(RECORD.reply, index, Buffer.alloc(300, index));
    store.write(RECORD.update, index, Buffer.alloc(index === 9 ? 10_000 : 400, index));
  }
  store.writeEntry(ENTRIES, encodeCommand({ type: 'boot' } as never, ENTRIES, SEED));
  store.write(RECORD.skipped, 12, Buffer.from('poison'));
  store.writeDecided(ENTRIES);
  store.write(RECORD.truncateOrder, 2, Buffer.from('{"first":3,"timeMs":3,"tickMs":0}'));
  store.write(RECORD.checkpoint, 1, Buffer.from('{"index":1,"file":"checkpoint-1"}'));
  await store.close();
}

/** Whether it can be opened; what cannot is refused as damaged. */
async function opens(file: string, what: string): Promise<boolean> {
  try {
    const { store, opened } = await Store.open(file, SERVICE);
    await store.close();
    for (const { bytes } of opened.entries) coreEntry(decodeEntry(bytes));
    return true;
  } catch (error) {
    assert.ok(error instanceof SpareError, `${what}: ${String(error)}`);
    assert.equal(error.code, 'data-folder-damaged', `${what}: ${error.message}`);
    return false;
  }
}

void test('P2: a store is refused as damaged whichever of its pages holds something else, or what is left of it is whole', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-damage-'));
  const file = join(folder.path, 'spare.db');
  await fill(file);
  const whole = readFileSync(file);
  let refusals = 0;
  for (let at = PAGE_BYTES; at < whole.length; at += PAGE_BYTES) {
    for (const byte of [0, 0xa5]) {
      const changed = Buffer.from(whole);
      changed.fill(byte, at, at + PAGE_BYTES);
      writeFileSync(file, changed);
      if (!(await opens(file, `page ${at / PAGE_BYTES + 1} full of ${byte}`))) refusals++;
    }
  }
  assert.ok(refusals > whole.length / PAGE_BYTES, `only ${refusals} were refused`);
});

/** All but the last byte. */
const OTHER = `cast(substr(bytes, 1, length(bytes) - 1) || x'00' as blob)`;

/** Statements that no damaged database differs from. */
const CHANGES: Readonly<Record<string, string>> = {
  'an entry without a kind': `update entries set bytes = x'ff' where idx = 5`,
  'an entry that is cut': 'update entries set bytes = substr(bytes, 1, 20) where idx = 5',
  'an entry that is another one': `update entries set bytes = ${OTHER} where idx = 5`,
  'an entry that is no bytes': 'update entries set bytes = 5 where idx = 5',
  'a command that is none': `update entries set bytes = bytes || x'7b' where idx = ${ENTRIES}`,
  'no first entry': 'delete from entries where idx = 3',
  'no entry between two': 'delete from entries where idx = 20',
  'no last entry': `delete from entries where idx = ${ENTRIES}`,
  'no start': 'delete from entries where idx = 0',
  'no entries': 'delete from entries',
  'an index that is none': 'update entries set idx = 9223372036854775807 where idx = 40',
  'where the order goes on as no JSON': `update facts set value = '{"first"' where name = 'order'`,
  'where the order goes on as something else': `update facts set value = '{"first":"3"}' where name = 'order'`,
  'a checkpoint that is none': `update facts set value = '{"index":1}' where name = 'checkpoint'`,
  'a checkpoint elsewhere': `update facts set value = '{"index":1,"file":"../checkpoint-1"}' where name = 'checkpoint'`,
  'a checkpoint with no digest that can be': `update facts set value = '{"index":1,"file":"checkpoint-1","digest":1}' where name = 'checkpoint'`,
  'a checkpoint of another entry': `update facts set value = '{"index":2,"file":"checkpoint-1"}' where name = 'checkpoint'`,
  'a checkpoint of what is not decided': `update facts set value = '{"index":41,"file":"checkpoint-41"}' where name = 'checkpoint'`,
  'less decided than was truncated': `update facts set value = '1' where name = 'decided'`,
  'what is decided as no number': `update facts set value = 'x' where name = 'decided'`,
  'another reason why an entry was skipped': `update replies set bytes = 'timeout' where idx = 12`,
  'another table': 'drop table updates; create table updates (a)',
};

for (const [what, change] of Object.entries(CHANGES)) {
  void test(`P2: a store whose content no manager wrote is refused as damaged: ${what}`, async () => {
    using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-damage-'));
    const file = join(folder.path, 'spare.db');
    await fill(file);
    assert.ok(await opens(file, 'the whole one'));
    using database = new DatabaseSync(file);
    database.exec(change);
    database.close();
    assert.equal(await opens(file, what), false);
  });
}

const READS: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
  updates: (store) => store.updates(0, ENTRIES).next(),
  replies: (store) => store.reply(9),
};

for (const [table, read] of Object.entries(READS)) {
  void test(`P1 P2: what was changed on disk reaches nobody: one of ${table}`, async () => {
    using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-damage-'));
    const file = join(folder.path, 'spare.db');
    await fill(file);
    using database = new DatabaseSync(file);
    database.exec(`update ${table} set bytes = ${OTHER} where idx = 9`);
    database.close();
    const { store } = await Store.open(file, SERVICE);
    await using stores = new AsyncDisposableStack();
    stores.defer(() => store.close());
    const ended = new Promise<SpareError>((resolve) => {
      store.onFailure = resolve;
    });
    const damaged = { code: 'data-folder-damaged', message: /entry 9 is not what was written/ };
    await assert.rejects(read(store), damaged);
    assert.equal((await ended).code, damaged.code);
  });
}

void test('P2: a store of an earlier version, which has no sums of what it holds, is taken as it is, and gets them', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-damage-'));
  const file = join(folder.path, 'spare.db');
  await fill(file);
  using database = new DatabaseSync(file);
  for (const table of ['entries', 'updates', 'replies'])
    database.exec(`alter table ${table} drop column sum`);
  database.exec('pragma user_version = 0');
  database.close();
  const { store } = await Store.open(file, SERVICE);
  for (const read of Object.values(READS)) await read(store);
  store.writeEntry(ENTRIES + 1, encodeBare('tick', ENTRIES, SEED));
  await store.close();
  using after = new DatabaseSync(file);
  const summed = after.prepare('select idx from entries where sum is not null').all();
  assert.deepEqual(
    summed.map(({ idx }) => idx),
    [ENTRIES + 1],
  );
});
