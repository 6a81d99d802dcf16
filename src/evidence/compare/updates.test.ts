/** Does a comparison of two changes name what differs, with the state before them and without it? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { ByteWriter } from '../../replica/state/bytes.ts';
import { exportDatabaseFiles } from '../../replica/state/existing.ts';
import { writePatchHeader } from '../../replica/state/patch.ts';
import { createSqliteState } from '../../replica/state/sqlite.ts';
import { onFullDisk } from '../../testing.ts';
import { updateDifferences } from './updates.ts';
import { STATE_FILE, UPDATES_FILE } from './verified.ts';

const SCHEMA = `create table users (id integer primary key, name text, age);
  create index by_name on users (name); insert into users values (1, 'ann', 30), (2, 'bob', 40)`;

const VERSION = 1;

/** The update that this makes of the state that `before` leaves. */
function updateOf(folder: string, name: string, base: Uint8Array, sql: string): Buffer {
  const path = join(folder, name);
  const state = createSqliteState([path]);
  const intake = state.prepare();
  intake.take(base);
  intake.end();
  state.open();
  const service = new DatabaseSync(path);
  service.exec(sql);
  const update = Buffer.from(state.capture());
  service.close();
  state.close();
  return update;
}

interface Pair {
  readonly is: Buffer;
  readonly instead: Buffer;
  readonly scratch: string;
}

function pair(folder: string, is: string, instead: string): Pair {
  const path = join(folder, 'base.db');
  const database = new DatabaseSync(path);
  database.exec(`pragma journal_mode = wal; ${SCHEMA}`);
  database.close();
  const base = Buffer.concat([...exportDatabaseFiles([path], 1024, folder)]);
  writeFileSync(join(folder, STATE_FILE), base);
  writeFileSync(join(folder, UPDATES_FILE), '');
  return {
    is: updateOf(folder, 'is.db', base, is),
    instead: updateOf(folder, 'instead.db', base, instead),
    scratch: folder,
  };
}

function places({ is, instead, scratch }: Pair, hasState = true): string[] {
  const found = updateDifferences(is, instead, hasState ? scratch : null);
  return found.map(({ where, is, instead }) => `${where}: ${is} | ${instead}`);
}

void test('P6: rows and columns are named, changed, added and left out', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-compare-'));
  const found = places(
    pair(
      place.path,
      `update users set age = 31 where id = 1; insert into users values (7, 'eve', 1)`,
      `update users set age = 32 where id = 1; delete from users where id = 2`,
    ),
  );
  assert.deepEqual(found.slice(0, 3), [
    'table users, row 1, column age: 31 | 32',
    `table users, row 2: (null, "bob", 40) | nothing`,
    'table users, row 7: (null, "eve", 1) | nothing',
  ]);
  assert.match(found[3] ?? '', /^page \d of by_name, byte \d+: /);
});

void test('P6: without the state before, or of a change where others made none, the pages are named', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-compare-'));
  const both = pair(
    place.path,
    `update users set age = 31 where id = 1`,
    `update users set age = 32 where id = 1`,
  );
  assert.match(places(both, false)[0] ?? '', /^page 2: [0-9a-f ]+ \| [0-9a-f ]+$/);
  assert.deepEqual(places({ ...both, instead: Buffer.alloc(0) }), [
    'table users, row 1, column age: 31 | 30',
  ]);
});

void test('P6: of a long text that differs far in, what differs is shown', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-compare-'));
  const named = (end: string): string =>
    `update users set name = '${'same '.repeat(100)}${end}' where id = 1`;
  const [found] = places(pair(place.path, named('one'), named('two')));
  assert.match(found ?? '', /^table users, row 1, column name: ….* same one" \| ….* same two"$/);
});

void test('P7: what is no update says so, also as what the other is compared with', () => {
  const [none, nonsense] = [Buffer.alloc(0), Buffer.from('nonsense')];
  assert.match(updateDifferences(nonsense, none, null)[0]?.is ?? '', /^no update: malformed/);
  const [undecided] = updateDifferences(none, nonsense, null);
  assert.match(undecided?.instead ?? '', /^no update: malformed/);
  assert.deepEqual([undecided?.where, undecided?.is], ['form', 'an update']);
});

/** As a replica may write it: of one file of 4096-byte pages, each change one byte. */
function written(
  changes: readonly (readonly [page: number, at: number, byte: number])[],
  pageCount = 4,
): Buffer {
  const writer = new ByteWriter();
  for (const number of [VERSION, 1, 1]) writer.varint(number);
  writePatchHeader(writer, 4096, pageCount);
  for (const [i, [page, at, byte]] of changes.entries()) {
    for (const number of [page - (changes[i - 1]?.[0] ?? 0), 1, at, 1, byte]) writer.varint(number);
  }
  writer.varint(0);
  return Buffer.from(writer.result());
}

void test('P6: changes that differ differ somewhere: in the page count, between rows, in how they are written', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-compare-'));
  const { scratch } = pair(place.path, '', '');
  const other = written([[2, 3000, 1]]);
  other.writeUInt8(VERSION + 1, 0);
  const many = Array.from({ length: 1001 }, (_, i) => [i + 1, 3000, 1] as const);
  const found = (state: string | null): string[] =>
    [
      updateDifferences(written([[2, 3000, 1]]), written([[2, 3000, 1]], 5), state),
      updateDifferences(written([[2, 3000, 1]]), written([[2, 3000, 2]]), state),
      updateDifferences(written([[2, 3000, 1]]), other, state),
      updateDifferences(written(many, 2000), written(many.slice(0, -1), 2000), state),
    ].map((differences) => differences.map(({ where }) => where).join());
  const last = `update byte ${written(many, 2000).length - 7}`;
  assert.deepEqual(found(scratch), ['page count', 'page 2 of users, byte 3000', 'form', last]);
  assert.deepEqual(found(null), ['page count', 'page 2', 'form', last]);
});

void test('P7: a change of more files than the state has is compared all the same', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-compare-'));
  const { is, scratch } = pair(place.path, 'delete from users', '');
  const none = Buffer.alloc(0);
  const [two, many] = [Buffer.from([VERSION, 2, ...is.subarray(2), 0]), Buffer.alloc(4 + 0xffff)];
  many.set([VERSION, 0xff, 0xff, 3]);
  const where = (a: Buffer, b: Buffer): string => updateDifferences(a, b, scratch)[0]?.where ?? '';
  assert.equal(where(two, is), 'number of files');
  assert.equal(where(two, none), 'file 1, page 2');
  assert.equal(where(many, none), 'update byte 0');
});

void test('P6: a page of which the disk took only a part is not compared with', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-compare-'));
  const script = `
    import { PlainFile } from ${JSON.stringify(new URL('../../replica/state/plain.ts', import.meta.url).href)};
    const file = new PlainFile(${JSON.stringify(join(place.path, '0.db'))});
    try {
      for (const page of [1, 2]) file.write(page, Buffer.alloc(4096, page));
    } catch (error) {
      process.stdout.write(error.code);
    }`;
  assert.equal(onFullDisk(6000, script), 'EFBIG');
});
