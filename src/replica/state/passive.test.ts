/**
 * Can a passive replica be filled, kept up to date, started from a base, and promoted, whatever its own service did?
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportDatabaseFiles, JournalModeError } from './existing.ts';
import {
  assertEqualBytes,
  assertSame,
  busyFor,
  type CreateReplica,
  fill,
  type Replica,
  withReplicas,
} from './harness.ts';
import { createSqliteState } from './sqlite.ts';
import { type State, StateError } from './state.ts';

const START = 'CREATE TABLE t (id INTEGER PRIMARY KEY, b)';
/** Most of its pages are zeros from end to end. */
const BLOB = 'INSERT INTO t (b) VALUES (zeroblob(100000))';
const FILL = `WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199)
  INSERT INTO t (b) SELECT zeroblob(i * 10) FROM n`;

void test('an import replaces the state under the open connections of the service, whatever they wrote', async () => {
  await withReplicas(async (replica) => {
    const active = await replica('active').start('libsql', START);
    await active.run(FILL);
    const own = `${START}; ${FILL}; DELETE FROM t WHERE id > 3; CREATE TABLE own (a)`;
    const passive = await replica('passive').start('libsql', own);
    assert.equal((await passive.rows('SELECT * FROM own')).length, 0);
    for (const sql of ['SELECT 1', 'DELETE FROM t WHERE id < 100; VACUUM', FILL]) {
      await active.run(sql);
      fill(passive.state.import(), active.state.export(10_000));
      await assertSame(active, passive);
      assert.equal(passive.state.capture().length, 0);
    }
    assertEqualBytes(await passive.run(FILL), await active.run(FILL));
    assert.deepEqual(passive.state.digest(), active.state.digest());
  });
});

void test('an import is seen with its own schema by a service that made another one while it started', async () => {
  await withReplicas(async (replica) => {
    const migration = 'CREATE TABLE m (a); CREATE INDEX i ON t (b)';
    const active = await replica('active').start('node', START);
    await active.run(FILL);
    await active.run(migration, 'INSERT INTO m VALUES (1)');
    const origin = await replica('origin').start('node', START);
    await origin.run();
    for (const [name, base, own] of [
      ['anew', null, `${START}; ${migration}`],
      ['based', origin.archive(), migration],
    ] as const) {
      const later = await replica(name, base, false).start('node', own);
      fill(later.state.import(), [active.archive()]);
      assert.deepEqual(await later.rows('SELECT a FROM m'), [{ a: 1 }]);
      await assertSame(active, later);
    }
  });
});

void test('what was applied before the service starts is what it starts on, and what its start makes of that is undone', async () => {
  await withReplicas(async (replica) => {
    const own = `${START.replace('TABLE', 'TABLE IF NOT EXISTS')}; CREATE TABLE IF NOT EXISTS m (a); INSERT INTO m VALUES (0)`;
    const active = await replica('active').start('node', START);
    const updates = [await active.run(), await active.run(FILL), await active.run('CREATE TABLE m (a)')];
    const archive = active.archive();
    updates.push(await active.run('INSERT INTO m VALUES (1)', 'DELETE FROM t WHERE id > 100; VACUUM'));
    for (const [name, base, from] of [
      ['from nothing', null, 0],
      ['from a whole state', archive, 3],
      ['with nothing to apply', active.archive(), 4],
    ] as const) {
      const later = replica(name, base, false, updates.slice(from));
      assert.deepEqual(later.state.digest(), active.state.digest());
      await later.start('node', own);
      assert.deepEqual(await later.rows('SELECT a FROM m'), [{ a: 1 }, { a: 0 }]);
      later.state.flush();
      await assertSame(active, later);
      const next = await active.run(FILL);
      assertEqualBytes(await later.run(FILL), next);
      updates.push(next);
    }
  });
});

void test('a state is imported over one with another page size', async () => {
  await withReplicas(async (replica) => {
    const sized = (bytes: number): string =>
      `PRAGMA journal_mode = DELETE; PRAGMA page_size = ${bytes}; VACUUM; PRAGMA journal_mode = WAL; ${START}`;
    for (const [from, to] of [
      [1024, 4096],
      [65_536, 512],
    ] as const) {
      const active = await replica(`active${from}`).start('node', `${sized(from)}; ${FILL}`);
      const passive = await replica(`passive${from}`).start('node', `${sized(to)}; ${FILL}`);
      await active.run();
      fill(passive.state.import(), [active.archive()]);
      await assertSame(active, passive);
      passive.state.apply(await active.run(FILL));
      passive.state.flush();
      await assertSame(active, passive);
      assertEqualBytes(await passive.run('DELETE FROM t'), await active.run('DELETE FROM t'));
    }
  });
});

void test('updates coalesce: nothing is written before flush, each page once, also through shrinking and growing', async () => {
  await withReplicas(async (replica) => {
    const active = await replica('active').start('node', `PRAGMA auto_vacuum = FULL; VACUUM; ${START}`);
    const passive = await replica('passive').start();
    passive.state.import().end();
    passive.state.apply(await active.run(FILL));
    passive.state.flush();
    const before = passive.file();
    for (const sql of ['DELETE FROM t', FILL, 'DELETE FROM t WHERE id > 10', FILL, 'DELETE FROM t', BLOB]) {
      passive.state.apply(await active.run(sql));
      assert.deepEqual(passive.state.digest(), active.state.digest());
      assert.ok(passive.file().equals(before));
    }
    assert.ok(Buffer.compare(passive.archive(), active.archive()) === 0);
    passive.state.flush();
    await assertSame(active, passive);
  });
});

void test('what a service wrote to a base while it started counts on an active replica, and is undone on a passive one', async () => {
  await withReplicas(async (replica) => {
    const origin = await replica('origin').start('node', `${START}; ${FILL}`);
    await origin.run();
    const base = origin.archive();
    const migration =
      'CREATE TABLE m (a); DELETE FROM t WHERE id % 3 = 0; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)';
    const active = await replica('active', base).start('node', migration);
    const passive = await replica('passive', base).start('node', `${migration}; UPDATE t SET b = 'its own'`);
    assert.deepEqual(passive.state.digest(), origin.state.digest());
    const update = await active.run();
    assert.notEqual(update.length, 0);
    passive.state.apply(update);
    passive.state.flush();
    await assertSame(active, passive);
    assertEqualBytes(await passive.run(FILL), await active.run(FILL));
  });
});

void test('what a service wrote on its own is undone where the updates do not reach', async () => {
  await withReplicas(async (replica) => {
    const origin = await replica('origin').start(
      'node',
      `PRAGMA auto_vacuum = FULL; VACUUM; ${START}; ${FILL}`,
    );
    await origin.run();
    for (const own of ['UPDATE t SET b = 1', 'DELETE FROM t', `${FILL}; CREATE TABLE own (a)`]) {
      const active = await replica(`active ${own.length}`, origin.archive()).start();
      const passive = await replica(`passive ${own.length}`, origin.archive()).start('node', own);
      passive.state.apply(await active.run('UPDATE t SET b = 5 WHERE id = 5'));
      await passive.service.exec(passive.name, own.replace('TABLE own', 'TABLE owned'));
      passive.state.flush();
      await assertSame(active, passive);
    }
  });
});

void test('a replica that executed can follow another one again', async () => {
  await withReplicas(async (replica) => {
    const first = await replica('first').start('node', `PRAGMA auto_vacuum = FULL; VACUUM; ${START}`);
    await first.run(FILL);
    const second = await replica('second', first.archive()).start();
    second.state.apply(await first.run('DELETE FROM t'));
    second.state.flush();
    first.state.apply(await second.run(BLOB));
    assert.deepEqual(first.state.digest(), second.state.digest());
    first.state.flush();
    await assertSame(second, first);
  });
});

void test('a promoted replica is not told apart by its cache: the change counter of SQLite is not part of the state', async () => {
  await withReplicas(async (replica) => {
    const active = await replica('active').start('node', START);
    const passive = await replica('passive').start('node', START);
    passive.state.import().end();
    for (let entry = 0; entry < 5; entry += 1) {
      passive.state.apply(await active.run(FILL));
      passive.state.flush();
    }
    assertEqualBytes(await passive.run(FILL), await active.run(FILL));
    assert.deepEqual(passive.state.digest(), active.state.digest());
    // The raw counters do differ, which is why page images are compared in canonical form.
    assert.notEqual(await changeCounter(passive), await changeCounter(active));
  });
});

void test('an unfinished statement of the service keeps its state from being replaced, and that is said', async () => {
  await withReplicas(async (replica, service) => {
    const active = await replica('active').start('node', START);
    const passive = await replica('passive').start('node', `${START}; ${FILL}`);
    await service.open('reader', passive.path);
    await service.cursor('reader', 'SELECT id FROM t');
    await active.run();
    assert.throws(
      () => fill(passive.state.import(), active.state.export(1000)),
      /StateError|unfinished statement/,
    );
    await service.advance('reader');
    fill(passive.state.import(), active.state.export(1000));
    await assertSame(active, passive);
  });
});

/** An active and a passive one that both began with what another one holds. */
async function ofOneOrigin(replica: CreateReplica): Promise<readonly [Replica, Replica]> {
  const origin = await replica('origin').start('node', `${START}; ${FILL}`);
  await origin.run();
  const active = await replica('active', origin.archive()).start();
  const passive = await replica('passive', origin.archive()).start();
  await active.run();
  return [active, passive];
}

void test('so does one that reads the file alone, because there was no log when it began', async () => {
  await withReplicas(async (replica, service) => {
    const [active, passive] = await ofOneOrigin(replica);
    await service.cursor(passive.name, 'SELECT id FROM t');
    assert.throws(() => fill(passive.state.import(), active.state.export(1000)), /unfinished statement/);
    passive.state.apply(await active.run('UPDATE t SET b = 1'));
    assert.throws(() => passive.state.flush(), /unfinished statement/);
    await service.advance(passive.name);
    passive.state.flush();
    await assertSame(active, passive);
    assertEqualBytes(await passive.run('DELETE FROM t'), await active.run('DELETE FROM t'));
  });
});

void test('a service that still writes what belongs to its start is waited for, and that is undone', async () => {
  await withReplicas(async (replica, service) => {
    const [active, passive] = await ofOneOrigin(replica);
    passive.state.apply(await active.run('UPDATE t SET b = 1'));
    await service.exec(passive.name, 'BEGIN IMMEDIATE; DELETE FROM t');
    const written = service.exec(passive.name, `${busyFor(2e5)}; COMMIT`);
    passive.state.flush();
    await written;
    await assertSame(active, passive);
  });
});

void test('several files are one state', async () => {
  await withReplicas(async (_, service, folder) => {
    const paths = (name: string): string[] => ['b', 'a', 'c'].map((file) => join(folder, name, `${file}.db`));
    const start = async (name: string): Promise<State> => {
      const state = createSqliteState(paths(name));
      state.prepare().end();
      for (const path of paths(name)) await service.open(path, path);
      state.open();
      return state;
    };
    const active = await start('active');
    const passive = await start('passive');
    const [first = '', second = ''] = paths('active');
    passive.import().end();
    passive.apply(active.capture());
    assert.equal(active.capture().length, 0);
    await service.exec(first, START);
    passive.apply(active.capture());
    await service.exec(second, `${START}; ${FILL}`);
    passive.apply(active.capture());
    passive.flush();
    assert.deepEqual(passive.digest(), active.digest());
    for (const [at, path] of paths('passive').entries()) {
      const expected = await service.rows(paths('active')[at] ?? '', 'SELECT count(*) FROM sqlite_schema');
      assert.deepEqual(await service.rows(path, 'SELECT count(*) FROM sqlite_schema'), expected);
    }
    const late = await start('late');
    fill(late.import(), active.export(5000));
    assert.deepEqual(late.digest(), active.digest());
    for (const state of [active, passive, late]) state.close();
  });
});

void test('a damaged update or archive is refused', async () => {
  await withReplicas(async (replica) => {
    const active = await replica('active').start('node', START);
    const update = await active.run(FILL);
    const archive = active.archive();
    for (let length = 1; length < update.length; length += 97) {
      assert.throws(() => active.state.apply(update.subarray(0, length)), StateError);
    }
    assert.throws(() => active.state.apply(Buffer.concat([update, Buffer.of(0)])), StateError);
    for (const broken of [
      archive.subarray(0, 5),
      archive.subarray(0, 3000),
      Buffer.concat([archive, Buffer.of(0)]),
    ]) {
      const passive = await replica(`passive${broken.length}`).start();
      assert.throws(() => fill(passive.state.import(), [broken]), StateError);
    }
    assert.throws(() => replica('base', archive.subarray(0, -1)), StateError);
  });
});

void test('existing databases become a base, and are left as they are', async () => {
  await withReplicas(async (replica, service, folder) => {
    const path = join(folder, "it's.db");
    await service.open('user', path);
    await service.exec('user', `${START}; ${FILL}`);
    assert.throws(() => [...exportDatabaseFiles([path], 1000, folder)], JournalModeError);
    await service.exec('user', `PRAGMA journal_mode = WAL; ${FILL}`);
    const listing = (): string =>
      execFileSync('sh', ['-c', `cd '${folder}' && sha256sum it*`], { encoding: 'utf8' });
    const before = listing();
    const base = Buffer.concat([...exportDatabaseFiles([path], 1000, folder)]);
    assert.equal(listing(), before);
    const active = await replica('active', base).start();
    assert.deepEqual(await active.rows('SELECT * FROM t'), await service.rows('user', 'SELECT * FROM t'));
    assert.equal((await active.run()).length, 0);
    assert.throws(() => [...exportDatabaseFiles([join(folder, 'missing.db')], 1000, folder)], /no such file/);
    assert.throws(() => [...exportDatabaseFiles([folder], 1000, folder)], /not a file/);
    assert.throws(
      () => [...exportDatabaseFiles([import.meta.filename], 1000, folder)],
      /not a SQLite database/,
    );
  });
});

/** The file change counter in page 1, once the log is in the file. */
async function changeCounter(replica: Replica): Promise<number> {
  replica.state.close();
  await replica.rows('PRAGMA wal_checkpoint(TRUNCATE)');
  return replica.file().readUInt32BE(24);
}
