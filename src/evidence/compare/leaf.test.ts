/** Are the rows of a page those that SQLite wrote, and is any other page harmless? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { rowsOf } from './leaf.ts';

const SIZE = 4096;

/** The image of the page that the only table has. */
function pageWith(sql: string): Buffer {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-leaf-'));
  const file = join(place.path, 'a.db');
  const database = new DatabaseSync(file);
  database.exec(`pragma page_size = ${SIZE}; create table t (a, b, c); ${sql}`);
  database.close();
  return readFileSync(file).subarray(SIZE, 2 * SIZE);
}

void test('P6: values of each type and size are read as SQLite wrote them', () => {
  const rows = rowsOf(
    pageWith(`insert into t values (null, 0, 1), (-1, 300, -70000), (-3000000, 5000000000, 9000000000000000),
      (1.5, 'a"b', x'00ff'); insert into t (rowid, a, b, c) values (-7, '', x'', -9223372036854775807)`),
    2,
  );
  assert.deepEqual(
    rows,
    new Map([
      [1n, ['null', '0', '1']],
      [2n, ['-1', '300', '-70000']],
      [3n, ['-3000000', '5000000000', '9000000000000000']],
      [4n, ['1.5', '"a\\"b"', "x'00ff'"]],
      [-7n, ['""', "x''", '-9223372036854775807']],
    ]),
  );
});

void test('P6: of a row that goes on in other pages what lies in this one is read', () => {
  const rows = rowsOf(pageWith(`insert into t values (1, printf('%.9000c', 'x'), 2)`), 2);
  assert.deepEqual(rows?.get(1n), ['1', 'not in this page', 'not in this page']);
});

void test('P6: the schema, an index and an empty page are told apart', () => {
  const page = pageWith('insert into t values (1, 2, 3)');
  assert.equal(rowsOf(Buffer.alloc(SIZE), 2), null);
  const index = Buffer.from(page);
  index.writeUInt8(0x0a, 0);
  assert.equal(rowsOf(index, 2), null);
  const first = Buffer.alloc(SIZE);
  page.copy(first, 100, 0, 100);
  assert.equal(rowsOf(first, 1)?.size, 1);
});

void test('P7: any bytes are rows, or none, and never more', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 512, maxLength: 512 }), (bytes) => {
      const page = Buffer.from(bytes);
      page.writeUInt8(0x0d, 0);
      const rows = rowsOf(page, 2);
      assert.ok(rows === null || rows.size <= page.readUInt16BE(3));
    }),
    { numRuns: 2000 },
  );
});

void test('P7: a page in which all cells are one long record takes no longer to read than one with a single cell', () => {
  const page = Buffer.alloc(65_536, 8);
  const [cells, at] = [16_000, 8 + 2 * 16_000];
  page.writeUInt8(0x0d, 0);
  page.writeUInt16BE(cells, 3);
  for (let i = 0; i < cells; i++) page.writeUInt16BE(at, 8 + 2 * i);
  // 33,000 bytes with rowid 1, of which all are the header.
  page.set([0x82, 0x81, 0x68, 1, 0x82, 0x81, 0x68], at);
  const startMs = performance.now();
  assert.equal(rowsOf(page, 2), null);
  assert.ok(performance.now() - startMs < 1000);
});
