import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Replies } from './replies.ts';
import { SCHEMA } from './store-protocol.ts';

function database(): DatabaseSync {
  const db = new DatabaseSync(':memory:');
  db.exec(SCHEMA);
  for (let index = 1; index <= 6; index++)
    db.prepare('insert into replies (idx, key, fingerprint) values (?, ?, ?)').run(
      index,
      `key ${index}`,
      'f',
    );
  return db;
}

/** Bytes kept, by index; null where only the key is. */
function kept(db: DatabaseSync): unknown[] {
  return db
    .prepare('select idx, length(bytes) as size from replies order by idx')
    .all()
    .map((row) => [row['idx'], row['size']]);
}

test('P2: replies of requests with a key are bounded in bytes: the oldest go first, the newest never, and no key with them', () => {
  using db = database();
  const replies = new Replies(db, 100);
  replies.keep(1, Buffer.alloc(40));
  replies.keep(2, Buffer.alloc(40));
  replies.keep(2, Buffer.alloc(60));
  assert.deepEqual(
    kept(db).slice(0, 2),
    [
      [1, 40],
      [2, 60],
    ],
    'one that is written again counts once',
  );
  replies.keep(3, Buffer.alloc(1));
  assert.deepEqual(kept(db).slice(0, 3), [
    [1, null],
    [2, 60],
    [3, 1],
  ]);
  replies.forget(2, 2);
  replies.keep(4, Buffer.alloc(99));
  assert.deepEqual(
    kept(db).slice(0, 3),
    [
      [1, null],
      [3, 1],
      [4, 99],
    ],
    'one that is forgotten makes room',
  );
  replies.keep(5, Buffer.alloc(1000));
  assert.deepEqual(kept(db), [
    [1, null],
    [3, null],
    [4, null],
    [5, 1000],
    [6, null],
  ]);
});

test('P2: the bound on replies of requests with a key holds over a restart', () => {
  using db = database();
  const before = new Replies(db, 100);
  before.keep(1, Buffer.alloc(40));
  before.keep(2, Buffer.alloc(40));
  const after = new Replies(db, 100);
  after.keep(3, Buffer.alloc(40));
  assert.deepEqual(kept(db).slice(0, 3), [
    [1, null],
    [2, 40],
    [3, 40],
  ]);
});

test('P2: keys that gave way, and their replies, go some bytes at a time, until all have gone', () => {
  using db = database();
  const replies = new Replies(db, 1000);
  for (const index of [1, 2, 3, 4]) {
    replies.keep(index, Buffer.alloc(60));
    replies.forget(index, 9);
  }
  const left = (): unknown[] => db.prepare('select idx from replies where idx < 5').all();
  replies.cut(8, 100);
  assert.equal(left().length, 4, 'not before the order has gone');
  replies.cut(9, 100);
  assert.equal(left().length, 2);
  replies.cut(9, 100);
  assert.deepEqual(left(), []);
});
