/** Is it noticed when what a service read at its start has changed, and only then? */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Sandbox, SKIP_LIBC } from '../determinism/testing.ts';
import { type CreateReplica, type Replica, withReplicas } from './harness.ts';

const TABLES = `
  PRAGMA journal_mode=WAL;
  CREATE TABLE settings (name PRIMARY KEY, value);
  INSERT INTO settings VALUES ('title', 'old');
  CREATE TABLE articles (id INTEGER PRIMARY KEY, text);
  INSERT INTO articles (text) VALUES ('first')`;
const ARTICLES = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
  INSERT INTO articles (text) SELECT hex(zeroblob(1000)) FROM n`;

/** One that founds, with these tables; and one that starts on its state, whose service executes `read` under the libc layer then. */
async function started(replica: CreateReplica, folder: string, read: string): Promise<[Replica, Replica]> {
  const active = await replica('active').start();
  await active.run(TABLES);
  active.state.started();
  const passive = replica('passive', active.archive(), false);
  await using sandbox = new Sandbox();
  const module = `
    import { DatabaseSync } from 'node:sqlite';
    new DatabaseSync(${JSON.stringify(passive.path)}).prepare(${JSON.stringify(read)}).all();`;
  const parts = ['--input-type=module', '-e', module];
  const notes = `SPARE_READS=${join(folder, 'passive', 'reads')}`;
  await sandbox.run('both', 'env', [notes, process.execPath, ...parts]);
  await passive.start();
  passive.state.flush();
  passive.state.started();
  return [active, passive];
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
      const [active, passive] = await started(replica, folder, 'SELECT value FROM settings');
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

void test('P3: so it is with a whole state that comes later', { skip: SKIP_LIBC }, async () => {
  await withReplicas(async (replica, _, folder) => {
    const [active, passive] = await started(replica, folder, 'SELECT value FROM settings');
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

void test('P3: who founds made all that there is after its start, and knows it', async () => {
  await withReplicas(async (replica) => {
    const active = await replica('active').start();
    const passive = await replica('passive').start();
    for (const { state, name } of [active, passive]) {
      await active.service.exec(name, TABLES);
      state.capture();
      state.started();
    }
    assert.equal(await isOutdatedBy("UPDATE articles SET text = 'second'", active, passive), true);
  });
});
