/** Is it noticed when what a service read at its start has changed, and only then? */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Sandbox, SKIP_LIBC } from '../determinism/testing.ts';
import { exportDatabaseFiles } from './existing.ts';
import { type CreateReplica, type Replica, withReplicas } from './harness.ts';

const TABLES = `
  PRAGMA journal_mode=WAL;
  CREATE TABLE settings (name PRIMARY KEY, value);
  INSERT INTO settings VALUES ('title', 'old');
  CREATE TABLE articles (id INTEGER PRIMARY KEY, text);
  INSERT INTO articles (text) VALUES ('first')`;
const ARTICLES = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
  INSERT INTO articles (text) SELECT hex(zeroblob(1000)) FROM n`;
/** 70,000 pages. */
const PAGES = `
  PRAGMA page_size=512;
  PRAGMA journal_mode=WAL;
  CREATE TABLE pages (id INTEGER PRIMARY KEY, bytes);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000)
  INSERT INTO pages (bytes) SELECT zeroblob(400) FROM n`;

type Program = (path: string, sql: string) => readonly string[];

const NODE: Program = (path, sql) => {
  const module = `
    import { DatabaseSync } from 'node:sqlite';
    new DatabaseSync(${JSON.stringify(path)}).prepare(${JSON.stringify(sql)}).all();`;
  return [process.execPath, '--input-type=module', '-e', module];
};
const OTHERS: Readonly<Record<string, Program>> = {
  'Python without an environment': (path, sql) => {
    const lines = `
import os, sqlite3, sys
os.environ.clear()
sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()`;
    return ['python3', '-c', lines, path, sql];
  },
  PHP: (path, sql) => [
    'php',
    '-r',
    '(new SQLite3($argv[1]))->query($argv[2])->fetchArray();',
    '--',
    path,
    sql,
  ],
};

/** What the service of a replica, such a program, reads while it starts, under the libc layer. */
async function read(one: Replica, folder: string, sql: string, program: Program = NODE): Promise<void> {
  await using sandbox = new Sandbox();
  const notes = `SPARE_READS=${join(folder, one.name, 'reads')}`;
  await sandbox.run('both', 'env', [notes, ...program(one.path, sql)]);
}

/** One that has these tables; and one that starts on its state, and reads the settings. */
async function started(
  replica: CreateReplica,
  folder: string,
  program: Program = NODE,
): Promise<[Replica, Replica]> {
  const active = await replica('active').start();
  await active.run(TABLES);
  const passive = replica('passive', active.archive(), false);
  await read(passive, folder, 'SELECT value FROM settings', program);
  await passive.start();
  passive.state.flush();
  passive.state.started();
  return [active, passive];
}

/** Two whose services execute this SQL at their start. */
async function founders(
  replica: CreateReplica,
  base: Uint8Array | null,
  sql: string,
  before: (one: Replica) => Promise<void> = async () => {},
): Promise<[Replica, Replica]> {
  const found = async (name: string): Promise<Replica> => {
    const one = replica(name, base);
    await before(one);
    await one.start('node', sql);
    one.state.capture();
    one.state.started();
    return one;
  };
  return [await found('founder'), await found('other')];
}

/** Whether it knows something old after the active one has executed these statements. */
async function isOutdatedBy(sql: string, active: Replica, passive: Replica): Promise<boolean> {
  passive.state.apply(await active.run(sql));
  passive.state.flush();
  assert.deepEqual(passive.state.digest(), active.state.digest());
  return passive.state.isOutdated();
}

void test(
  'P3: who read a setting at its start is outdated when that changes, or the schema; not by what it did not read',
  {
    skip: SKIP_LIBC,
  },
  async () => {
    await withReplicas(async (replica, _, folder) => {
      const [active, passive] = await started(replica, folder);
      const after = (sql: string): Promise<boolean> => isOutdatedBy(sql, active, passive);
      assert.equal(await after("UPDATE articles SET text = 'second'"), false);
      assert.equal(await after(ARTICLES), false);
      assert.equal(await after("UPDATE settings SET value = 'new'"), true);
      assert.equal(await after("UPDATE settings SET value = 'old'"), false);
      assert.equal(await after('DELETE FROM articles'), false);
      assert.equal(await after('CREATE INDEX texts ON articles (text)'), true);
    });
  },
);

for (const [name, program] of Object.entries(OTHERS)) {
  const [command = '', ...parts] = program(':memory:', 'SELECT 1');
  const skip = SKIP_LIBC || (spawnSync(command, parts).status === 0 ? false : `no ${command} with SQLite`);
  void test(`P3: what ${name} reads is seen as well`, { skip }, async () => {
    await withReplicas(async (replica, _, folder) => {
      const [active, passive] = await started(replica, folder, program);
      assert.equal(await isOutdatedBy("UPDATE articles SET text = 'second'", active, passive), false);
      assert.equal(await isOutdatedBy("UPDATE settings SET value = 'new'", active, passive), true);
    });
  });
}

void test('P3: so it is with a whole state that comes later', { skip: SKIP_LIBC }, async () => {
  await withReplicas(async (replica, _, folder) => {
    const [active, passive] = await started(replica, folder);
    for (const [sql, isOutdated] of [
      [ARTICLES, false],
      ["UPDATE settings SET value = 'new'", true],
    ] as const) {
      await active.run(sql);
      const intake = passive.state.import();
      intake.take(active.archive());
      intake.end();
      passive.state.digest();
      assert.equal(passive.state.isOutdated(), isOutdated, sql);
    }
  });
});

void test('P3: who founds knows all that its start made', async () => {
  await withReplicas(async (replica) => {
    const [active, passive] = await founders(replica, null, TABLES);
    assert.equal(await isOutdatedBy("UPDATE articles SET text = 'second'", active, passive), true);
  });
});

void test(
  'P3: who founds on a database that exists knows what it read of that, and what its start wrote',
  {
    skip: SKIP_LIBC,
  },
  async () => {
    await withReplicas(async (replica, _, folder) => {
      const [existing] = await started(replica, folder);
      const starts = 'CREATE TABLE starts (at); INSERT INTO starts VALUES (5)';
      const readBefore = (one: Replica): Promise<void> => read(one, folder, 'SELECT value FROM settings');
      const [active, passive] = await founders(replica, existing.archive(), starts, readBefore);
      const after = (sql: string): Promise<boolean> => isOutdatedBy(sql, active, passive);
      assert.equal(await after("UPDATE articles SET text = 'second'"), false);
      assert.equal(await after('UPDATE starts SET at = 6'), true);
      assert.equal(await after('UPDATE starts SET at = 5'), false);
      assert.equal(await after("UPDATE settings SET value = 'new'"), true);
    });
  },
);

void test(
  'P3: who read more than can be remembered is outdated by what is added at the end',
  { skip: SKIP_LIBC },
  async () => {
    await withReplicas(async (replica, _, folder) => {
      const path = join(folder, 'existing.db');
      {
        using existing = new DatabaseSync(path);
        existing.exec(PAGES);
      }
      const base = Buffer.concat([...exportDatabaseFiles([path], 1 << 20, folder)]);
      const active = await replica('active', base).start();
      const passive = replica('passive', base, false);
      await read(passive, folder, 'SELECT sum(length(bytes)) FROM pages');
      await passive.start();
      passive.state.flush();
      passive.state.started();
      const add = 'INSERT INTO pages (bytes) VALUES (1)';
      assert.equal(await isOutdatedBy('SELECT 1', active, passive), false);
      assert.equal(await isOutdatedBy(add, active, passive), true);
    });
  },
);

void test('P3: who started on nothing is outdated once there is something', async () => {
  await withReplicas(async (replica) => {
    const active = await replica('active').start('node', TABLES);
    const passive = await replica('passive', null, false).start('node', TABLES);
    passive.state.flush();
    passive.state.started();
    passive.state.import().end();
    assert.equal(passive.state.isOutdated(), false);
    assert.equal(await isOutdatedBy('SELECT 1', active, passive), true);
  });
});
