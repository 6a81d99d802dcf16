import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { SCHEMA } from './store-protocol.ts';
import { Truncation } from './truncation.ts';

const ROWS = 1000;
const ROW_BYTES = 10;

/** A truncation of such a table up to entry 800, and how many rows are left after each of so many cuts. */
function cuts(count: number, bytesMax: number): number[] {
  using db = new DatabaseSync(':memory:');
  db.exec(SCHEMA);
  const insert = db.prepare('insert into entries (idx, bytes) values (?, ?)');
  for (let index = 0; index < ROWS; index++) insert.run(index, Buffer.alloc(ROW_BYTES));
  const truncation = new Truncation(db, 'entries');
  truncation.through = 800;
  return Array.from({ length: count }, () => {
    truncation.cut(bytesMax);
    return Number(db.prepare('select count(*) as n from entries').get()?.['n']);
  });
}

test('P5: nobody waits for the removal of a long order: it goes some hundred entries at a time, until all but the first has gone', () => {
  const left = cuts(6, ROWS * ROW_BYTES);
  const removed = left.map((rows, i) => (left[i - 1] ?? ROWS) - rows);
  assert.ok(
    removed.every((rows) => rows < 300),
    String(removed),
  );
  assert.equal(left.at(-1), ROWS - 800);
});

test('P5: nor for that of long entries: it goes some bytes at a time', () => {
  assert.deepEqual(cuts(3, 5 * ROW_BYTES - 1), [ROWS - 5, ROWS - 10, ROWS - 15]);
});
