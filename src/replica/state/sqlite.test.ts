/**
 * Does a replica that only applies updates become the one that executed, whatever the service does in SQL?
 * Each workload runs on an active replica; a passive one with its own open connection applies each update.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertEqualBytes, assertSame, type Binding, type Replica, withReplicas } from './harness.ts';

/** Each inner list is one entry. */
const WORKLOADS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'a table without primary key': [
    ['CREATE TABLE t (a, b)'],
    ["INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, NULL)"],
    ["DELETE FROM t WHERE rowid = 2; INSERT INTO t VALUES (3, 'y')"],
  ],
  'AUTOINCREMENT counters': [
    ['CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a)'],
    ['INSERT INTO t (a) VALUES (1), (2), (3)'],
    ['DELETE FROM t'],
    ['INSERT INTO t (a) VALUES (4)'],
  ],
  'WITHOUT ROWID tables and indexes': [
    ['CREATE TABLE t (k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE INDEX i ON t (v)'],
    ["INSERT INTO t VALUES ('a', 1), ('b', 2)"],
    ["UPDATE t SET v = 3 WHERE k = 'a'"],
  ],
  'schema changes': [
    ['CREATE TABLE t (a); CREATE VIEW w AS SELECT a FROM t'],
    ["ALTER TABLE t ADD COLUMN b DEFAULT 'd'; INSERT INTO t (a) VALUES (1)"],
    ['CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET b = new.a; END; INSERT INTO t (a) VALUES (2)'],
    ['DROP VIEW w; DROP TABLE t; CREATE TABLE u (c)'],
    ['PRAGMA user_version = 7'],
  ],
  'blobs on overflow pages': [
    ['CREATE TABLE t (id INTEGER PRIMARY KEY, b)'],
    ["INSERT INTO t VALUES (1, zeroblob(50000)), (2, CAST(printf('%.60000c', 'x') AS BLOB))"],
    ["UPDATE t SET b = CAST(printf('%.30000c', 'y') AS BLOB) WHERE id = 2"],
    ['DELETE FROM t WHERE id = 1'],
  ],
  'rollback and savepoints': [
    ['CREATE TABLE t (a)'],
    ['BEGIN; INSERT INTO t VALUES (1); ROLLBACK'],
    ['BEGIN; INSERT INTO t VALUES (2); SAVEPOINT s; INSERT INTO t VALUES (3); ROLLBACK TO s; COMMIT'],
    ['BEGIN; INSERT INTO t VALUES (4)', 'COMMIT; BEGIN; INSERT INTO t VALUES (5); ROLLBACK'],
  ],
  'a transaction that spills its cache': [
    ['PRAGMA cache_size = 10; CREATE TABLE t (id INTEGER PRIMARY KEY, b)'],
    [`BEGIN; ${rows(400)}; ROLLBACK`],
    [`BEGIN; ${rows(400)}; UPDATE t SET b = b || 'z'; DELETE FROM t WHERE id % 3 = 0; COMMIT`],
  ],
  // SQLite 3.45 leaves frames without salts behind this.
  'a savepoint that spills its cache and is rolled back': [
    ['PRAGMA cache_size = 10; CREATE TABLE t (id INTEGER PRIMARY KEY, b)'],
    ["INSERT INTO t SELECT value, printf('%.20000c', 'x') FROM json_each('[22,23,31]')"],
    [
      `BEGIN; INSERT INTO t VALUES (54, zeroblob(11000)); SAVEPOINT s;
      INSERT INTO t SELECT value, printf('%.20000c', 'x') FROM json_each('[20,21,29]'); ROLLBACK TO s; COMMIT`,
    ],
    ["INSERT INTO t VALUES (1, 'x')"],
  ],
  VACUUM: [
    ['CREATE TABLE t (id INTEGER PRIMARY KEY, b)', rows(300)],
    ['DELETE FROM t WHERE id > 20'],
    ['VACUUM'],
    ['INSERT INTO t (b) VALUES (zeroblob(20000))'],
  ],
  'auto_vacuum=FULL': [
    ['PRAGMA auto_vacuum = FULL; VACUUM; CREATE TABLE t (id INTEGER PRIMARY KEY, b)'],
    [rows(300)],
    ['DELETE FROM t WHERE id % 2 = 0'],
    ['DELETE FROM t'],
    [rows(10)],
  ],
  'auto_vacuum=INCREMENTAL': [
    ['PRAGMA auto_vacuum = INCREMENTAL; VACUUM; CREATE TABLE t (id INTEGER PRIMARY KEY, b)'],
    [rows(300), 'DELETE FROM t WHERE id > 100'],
    ['PRAGMA incremental_vacuum(20)'],
    ['INSERT INTO t (b) VALUES (zeroblob(200000))'],
  ],
  'a file that shrinks and grows within one entry': [
    ['PRAGMA auto_vacuum = FULL; VACUUM; CREATE TABLE t (id INTEGER PRIMARY KEY, b)'],
    [rows(300)],
    ['DELETE FROM t', rows(250)],
  ],
  'deleting everything': [
    ['CREATE TABLE t (id INTEGER PRIMARY KEY, b)', rows(100)],
    ['DELETE FROM t'],
    [rows(3)],
  ],
  'checkpoints of the service': [
    ['CREATE TABLE t (a)', 'PRAGMA wal_checkpoint(TRUNCATE)'],
    ['INSERT INTO t VALUES (1)', 'PRAGMA wal_checkpoint(RESTART)', 'INSERT INTO t VALUES (2)'],
    ['PRAGMA wal_checkpoint(FULL)', 'INSERT INTO t VALUES (3)', 'PRAGMA wal_checkpoint(TRUNCATE)'],
  ],
  'full text search': [
    ['CREATE VIRTUAL TABLE t USING fts5(a)'],
    ["INSERT INTO t VALUES ('one two'), ('three')"],
    ["DELETE FROM t WHERE t MATCH 'two'"],
  ],
};

function rows(count: number): string {
  return `WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
    INSERT INTO t (b) SELECT printf('%.*c', 500 + i * 7 % 300, char(97 + i % 26)) FROM n`;
}

async function follow(
  entries: readonly (readonly string[])[],
  active: Replica,
  passive: Replica,
): Promise<void> {
  passive.state.import().end();
  for (const entry of [[], ...entries.slice(0, -1)]) {
    passive.state.apply(await active.run(...entry));
    passive.state.flush();
    await assertSame(active, passive);
  }
  const promoted = [
    'CREATE TABLE z (a)',
    'INSERT INTO z VALUES (zeroblob(9000))',
    'DELETE FROM z',
    'DROP TABLE z',
  ];
  for (const sql of [...(entries.at(-1) ?? []), ...promoted]) {
    assertEqualBytes(await passive.run(sql), await active.run(sql), sql);
  }
  assert.deepEqual(passive.state.digest(), active.state.digest());
  assert.deepEqual(await passive.content(), await active.content());
  assert.equal(await passive.integrity(), 'ok');
}

for (const binding of ['node', 'libsql'] satisfies Binding[]) {
  void test(`a passive replica becomes the active one, and continues as it does (${binding})`, async (t) => {
    await withReplicas(async (replica) => {
      for (const [name, entries] of Object.entries(WORKLOADS)) {
        await t.test(name, async () => {
          const active = await replica(`active ${name}`).start(binding);
          await follow(entries, active, await replica(`passive ${name}`).start(binding));
        });
      }
    });
  });
}
