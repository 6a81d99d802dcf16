/**
 * Does the libc layer keep S1 and S2 (preload-sqlite.c) for a program that uses the system's SQLite? Python is one, and
 * is told line by line what to do.
 */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { test } from 'node:test';
import { Sandbox, SKIP_LIBC } from './testing.ts';

const HAS_PYTHON = spawnSync('python3', ['-c', 'import sqlite3']).status === 0;
const SKIP = SKIP_LIBC || (HAS_PYTHON ? false : 'no python3 with sqlite3');

/** Evaluates each line, with a function that opens the database, and one that runs a statement in it; it opens late. */
const EVALUATE = `
import os, sqlite3, sys
def open():
  db = sqlite3.connect(sys.argv[1], isolation_level=None)
  db.execute('PRAGMA journal_mode=WAL')
  db.execute('CREATE TABLE IF NOT EXISTS t (name, id DEFAULT (lower(hex(randomblob(16)))))')
  return db
kept = []
def sql(text, on=None):
  if on is None and not kept: kept.append(open())
  return (on or kept[0]).execute(text).fetchall()
for line in sys.stdin:
  try: print(eval(line), flush=True)
  except sqlite3.Error as error: print(error, flush=True)
`;

/** A process with a database of its own. It starts under the page that is there, and is asked by lines. */
class Python implements Disposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;

  constructor(sandbox: Sandbox, name: string, env: NodeJS.ProcessEnv = sandbox.env('libc')) {
    const database = join(sandbox.folder, `${name}.db`);
    this.#child = spawn('python3', ['-c', EVALUATE, database], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface(this.#child.stdout);
  }

  async evaluate(line: string): Promise<string> {
    const answer = once(this.#lines, 'line', { signal: AbortSignal.timeout(60_000) });
    this.#child.stdin.write(`${line}\n`);
    return String((await answer)[0]);
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

/** What an entry draws, through the connection that is kept and one of its own. The commit needs a salt for the log. */
const DRAW = `
  sql("INSERT INTO t (name) VALUES ('drawn') RETURNING id"), sql('SELECT random(), hex(randomblob(100))'),
  sql('SELECT random(), abs(random())', open()), os.urandom(8).hex()`.replaceAll('\n', '');

void test(
  'S1 S2: a process that drew before, and wrote, draws in SQL and outside what a new one does',
  { skip: SKIP },
  async () => {
    await using sandbox = new Sandbox();
    const seed = (index: number): void => sandbox.set({ index, seed: Buffer.alloc(32, index) });
    seed(0);
    using old = new Python(sandbox, 'old');
    await old.evaluate('sql("SELECT 1")');
    seed(3);
    const third = await old.evaluate(DRAW);
    await old.evaluate('[sql("INSERT INTO t DEFAULT VALUES") for _ in range(50)]');
    seed(9);
    const ninth = await old.evaluate(DRAW);
    seed(0);
    {
      // What starts later finds its database there.
      using before = new Python(sandbox, 'fresh');
      await before.evaluate('sql("SELECT 1")');
    }
    using fresh = new Python(sandbox, 'fresh');
    await fresh.evaluate('1');
    seed(9);
    assert.equal(await fresh.evaluate(DRAW), ninth);
    assert.notEqual(ninth, third);
    assert.notEqual(await fresh.evaluate(DRAW), ninth, 'a second draw in one entry');
  },
);

void test('S1: what was drawn outside of SQL does not matter to it', { skip: SKIP }, async () => {
  await using sandbox = new Sandbox();
  using python = new Python(sandbox, 'python');
  await python.evaluate('sql("SELECT 1")');
  sandbox.set({});
  const first = await python.evaluate('sql("SELECT random(), randomblob(9)")');
  sandbox.set({});
  await python.evaluate('os.urandom(500)');
  assert.equal(await python.evaluate('sql("SELECT random(), randomblob(9)")'), first);
});

void test(
  'the functions of SQL size, refuse and are allowed as those of SQLite are',
  { skip: SKIP },
  async () => {
    await using sandbox = new Sandbox();
    const { SPARE_CLOCK: _, ...plain } = sandbox.env('libc');
    using under = new Python(sandbox, 'under');
    using original = new Python(sandbox, 'original', plain);
    const lengths = ['0', '-5', 'NULL', "' 7x'", "x'3132'", '3.9', '1000', '']
      .map((size) => `length(randomblob(${size}))`)
      .map((column) => `sql("SELECT ${column}, typeof(random()), typeof(randomblob(1))")`);
    const lines = [
      ...lengths,
      'sql("SELECT randomblob(1000000001)")',
      'sql("SELECT randomblob(9223372036854775807)")',
      'sql("PRAGMA trusted_schema = OFF")',
      'sql("INSERT INTO t (name) VALUES (1), (2) RETURNING typeof(id), length(id)")',
      'sql("CREATE INDEX i ON t (random())")',
      'sql("CREATE TABLE u (a, b AS (randomblob(1)))")',
      'sql("CREATE VIEW v AS SELECT typeof(random()) AS kind") + sql("SELECT kind FROM v")',
    ];
    for (const line of lines) assert.equal(await under.evaluate(line), await original.evaluate(line), line);
  },
);
