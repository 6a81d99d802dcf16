/**
 * Are `random()` and `randomblob()` of SQL in Node a function of the page, whatever the process did before, and otherwise
 * what they are in SQLite?
 */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { Sandbox } from './testing.ts';

const BETTER = fileURLToPath(new URL('../../../node_modules/better-sqlite3', import.meta.url));

/** Draws in each request, through the connection of its start and more. `classOf`: defines `Database` and `more`. */
const service = (classOf: string): string => `
  import http from 'node:http';
  import { createRequire } from 'node:module';
  const require = createRequire(import.meta.url);
  ${classOf}
  const file = process.env.LISTEN + '.db';
  const COLUMNS = 'CAST(random() AS TEXT) number, hex(randomblob(20)) blob, length(randomblob(5000)) size';
  const draw = (db) => db.prepare('SELECT ' + COLUMNS).get();
  const start = new Database(file);
  start.exec('PRAGMA journal_mode = WAL');
  start.exec('CREATE TABLE t (id DEFAULT (lower(hex(randomblob(16)))), name)');
  start.exec('CREATE TRIGGER later AFTER INSERT ON t BEGIN UPDATE t SET name = hex(randomblob(16)) WHERE rowid = new.rowid; END');
  start.exec('CREATE VIEW v AS SELECT ' + COLUMNS);
  http.createServer(async (request, response) => {
    start.exec('INSERT INTO t DEFAULT VALUES');
    const inserted = start.prepare('SELECT id, name FROM t ORDER BY rowid DESC').get();
    const seen = { start: draw(start), inserted, view: start.prepare('SELECT * FROM v').get(), more: await more(draw, file) };
    response.end(JSON.stringify(seen));
  }).listen(process.env.LISTEN, () => console.log('up'));`;

const NODE_SQLITE = `
  import { DatabaseSync as Database } from 'node:sqlite';
  import { Worker } from 'node:worker_threads';
  class Own extends require('node:sqlite').DatabaseSync {
    function() { throw new Error('not for Spare'); }
  }
  const later = new Database(process.env.LISTEN + '.db', { open: false });
  async function more(draw, file) {
    if (later.isOpen) later.close();
    later.open();
    return [draw(later), draw(new Own(file, { readOnly: true })), draw(new (await import('node:sqlite')).DatabaseSync(':memory:'))];
  }`;

const BETTER_SQLITE = `
  const Database = require(${JSON.stringify(BETTER)});
  const more = (draw, file) => [draw(new Database(file, { readonly: true }))];`;

/** The reply at entry 9 of a new process, and of one that has answered before. */
async function afterHistories(classOf: string): Promise<void> {
  await using sandbox = new Sandbox();
  const at = async (ask: (path: string) => Promise<string>, index: number): Promise<string> => {
    sandbox.set({ index, seed: Buffer.alloc(32, index) });
    return ask('/');
  };
  const old = await sandbox.serve('node', service(classOf));
  const third = await at(old, 3);
  await at(old, 4);
  const ninth = await at(old, 9);
  sandbox.set({});
  const fresh = await sandbox.serve('node', service(classOf));
  assert.equal(await at(fresh, 9), ninth);
  const numbers = (reply: string): string[] => reply.match(/\d{12,}|[\da-f]{32,}/gi) ?? [];
  const drawn = [...numbers(third), ...numbers(ninth)];
  assert.ok(drawn.length >= 16);
  assert.equal(new Set(drawn).size, drawn.length, 'no two draws are the same');
  assert.notEqual(await at(fresh, 10), ninth);
}

void test('a process that drew before draws in SQL what a new one does: node:sqlite', () =>
  afterHistories(NODE_SQLITE));

void test(
  'a process that drew before draws in SQL what a new one does: better-sqlite3',
  { skip: existsSync(BETTER) ? false : 'no better-sqlite3' },
  () => afterHistories(BETTER_SQLITE),
);

/** A class that defines functions as the one of `bun:sqlite` does, found where that is. */
const AS_BUN = `
  const { DatabaseSync } = require('node:sqlite');
  class Database {
    #db = new DatabaseSync(':memory:');
    function(name, { safeIntegers }, body) { this.#db.function(name, { useBigIntArguments: safeIntegers }, body); }
    get(sql) { return this.#db.prepare(sql).get(); }
  }
  const sqlite = { Database, default: Database };
  const { getBuiltinModule } = process;
  process.getBuiltinModule = (name) => (name === 'bun:sqlite' ? sqlite : getBuiltinModule(name));`;

void test('two processes draw the same in SQL: bun:sqlite', async () => {
  await using sandbox = new Sandbox();
  const asBun = join(sandbox.folder, 'as-bun.cjs');
  writeFileSync(asBun, AS_BUN);
  const draw = `
    const { Database, default: same } = process.getBuiltinModule('bun:sqlite');
    const columns = 'CAST(random() AS TEXT), hex(randomblob(8)), length(randomblob(5000))';
    for (const Class of [Database, same, class extends Database {}]) console.log(new Class().get('SELECT ' + columns));`;
  const drawn = () => sandbox.run('node', process.execPath, ['--require', asBun, '-e', draw]);
  assert.equal(await drawn(), await drawn());
});

void test('the functions of SQL size, refuse and are allowed as those of SQLite are', async () => {
  await using sandbox = new Sandbox();
  const module = `
    import { DatabaseSync } from 'node:sqlite';
    const db = new DatabaseSync(':memory:');
    const outcome = (act) => { try { return act() ?? null; } catch (error) { return error.message; } };
    const sizes = ['0', '-5', 'NULL', "' 7x'", "'1e3'", "x'3132'", '3.9', '-1e300', '1000', ''];
    const statements = [
      ...sizes.map((size) => 'SELECT length(randomblob(' + size + ')), typeof(random()), typeof(randomblob(1))'),
      'SELECT randomblob(1000000001)', 'SELECT randomblob(9223372036854775807)', 'SELECT random(1)',
      'CREATE TABLE t (a, b CHECK (random() IS NOT NULL))', 'CREATE INDEX i ON t (random())', 'CREATE TABLE u (a, b AS (random()))',
      'INSERT INTO t VALUES (1, 2) RETURNING a',
    ];
    console.log(JSON.stringify([
      ...statements.map((sql) => outcome(() => db.prepare(sql).get())),
      outcome(() => DatabaseSync(':memory:')), outcome(() => new DatabaseSync(5)), outcome(() => db.open()),
      db instanceof DatabaseSync, db.constructor === DatabaseSync, DatabaseSync.name, db.open.name,
      outcome(() => db.function('random', () => 5)), db.prepare('SELECT random() n').get(),
    ]));`;
  const parts = ['-u', 'SPARE_CLOCK', process.execPath, '--input-type=module', '-e', module];
  assert.equal(await sandbox.node('node', module), await sandbox.run('node', 'env', parts));
});
