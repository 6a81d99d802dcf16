/**
 * Does capture see exactly what was committed, and say so when it cannot: with a service that checkpoints, keeps
 * statements open, switches modes, or takes its files away?
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { test } from 'node:test';
import { assertSame, busyFor, type Replica, withReplicas } from './harness.ts';
import { StateError } from './state.ts';

const GROW = 'INSERT INTO t VALUES (zeroblob(100000))';

async function applied(passive: Replica, update: Uint8Array): Promise<void> {
  passive.state.apply(update);
  passive.state.flush();
  await passive.content();
}

void test('an entry that changes nothing has an empty update', async () => {
  await withReplicas(async (replica) => {
    const active = await replica('active').start('node', 'CREATE TABLE t (a); INSERT INTO t VALUES (1)');
    assert.notEqual((await active.run('')).length, 0);
    assert.equal((await active.run('SELECT * FROM t')).length, 0);
    assert.equal((await active.run('BEGIN; INSERT INTO t VALUES (2); ROLLBACK')).length, 0);
    assert.equal((await active.run('UPDATE t SET a = a')).length, 0);
    assert.equal((await active.run('PRAGMA wal_checkpoint(TRUNCATE)')).length, 0);
    assert.notEqual((await active.run('UPDATE t SET a = 2')).length, 0);
  });
});

void test('updates add up to the state from nothing, also when the service migrates and checkpoints while it starts', async () => {
  await withReplicas(async (replica) => {
    const migration =
      'CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(50000)); PRAGMA wal_checkpoint(TRUNCATE)';
    const active = await replica('active').start('node', `${migration}; INSERT INTO t VALUES (2)`);
    const passive = await replica('passive').start('node', `${migration}; INSERT INTO t VALUES ('its own')`);
    passive.state.import().end();
    await applied(passive, await active.run());
    await assertSame(active, passive);
  });
});

void test('a service that opens a connection per request is followed', async () => {
  await withReplicas(async (replica, service) => {
    const active = await replica('active').start('node', 'CREATE TABLE t (a)');
    const passive = await replica('passive').start();
    passive.state.import().end();
    await service.close(active.name);
    for (let entry = 0; entry < 5; entry += 1) {
      await service.open(active.name, active.path, entry % 2 === 0 ? 'node' : 'libsql');
      const update = await active.run(`INSERT INTO t VALUES (${entry})`);
      await service.close(active.name);
      await applied(passive, update);
    }
    await service.open(active.name, active.path);
    await assertSame(active, passive);
  });
});

void test('the log is moved into the file between entries, and stays short', async () => {
  await withReplicas(async (replica) => {
    const active = await replica('active').start('node', 'CREATE TABLE t (a)');
    const passive = await replica('passive').start();
    passive.state.import().end();
    for (let entry = 0; entry < 120; entry += 1) passive.state.apply(await active.run(GROW));
    passive.state.flush();
    await assertSame(active, passive);
    const log = Number(execFileSync('stat', ['-c', '%s', `${active.path}-wal`], { encoding: 'utf8' }));
    assert.ok(log < 1100 * 4120, `the log has ${log} bytes`);
  });
});

void test('a statement that the service leaves open delays the move, and nothing else', async () => {
  await withReplicas(async (replica, service) => {
    const active = await replica('active').start('node', 'CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)');
    const passive = await replica('passive').start();
    passive.state.import().end();
    await applied(passive, await active.run());
    await service.open('reader', active.path);
    for (let round = 0; round < 3; round += 1) {
      await service.cursor('reader', 'SELECT a FROM t');
      for (let entry = 0; entry < 45; entry += 1) passive.state.apply(await active.run(GROW));
      passive.state.flush();
      await assertSame(active, passive);
      assert.equal((await service.advance('reader')).length, 1 + round * 45);
    }
    for (let entry = 0; entry < 90; entry += 1) passive.state.apply(await active.run(GROW, `DELETE FROM t`));
    passive.state.flush();
    await assertSame(active, passive);
  });
});

void test('many commits and checkpoints by the service within one entry are one update', async () => {
  await withReplicas(async (replica) => {
    const active = await replica('active').start('libsql', 'CREATE TABLE t (a)');
    const passive = await replica('passive').start('libsql');
    passive.state.import().end();
    for (const mode of ['PASSIVE', 'FULL', 'RESTART', 'TRUNCATE']) {
      const statements = Array.from({ length: 60 }, () => [GROW, `PRAGMA wal_checkpoint(${mode})`]).flat();
      await applied(passive, await active.run(...statements, 'DELETE FROM t'));
      await assertSame(active, passive);
    }
  });
});

void test('the service cannot leave WAL mode or lock others out once it is followed', async () => {
  await withReplicas(async (replica) => {
    const active = await replica('active').start('node', 'CREATE TABLE t (a)');
    await active.run();
    await assert.rejects(active.run('PRAGMA journal_mode = DELETE'), /locked/);
    await assert.rejects(active.run('PRAGMA locking_mode = EXCLUSIVE; INSERT INTO t VALUES (1)'), /locked/);
  });
});

void test('a database that cannot be followed is refused with the reason', async () => {
  await withReplicas(async (replica, service) => {
    await assert.rejects(
      replica('mode').start('node', 'PRAGMA journal_mode = DELETE'),
      refusal(/mode.*journal_mode=WAL/),
    );
    const exclusive = 'PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE t (a)';
    await assert.rejects(replica('exclusive').start('node', exclusive), refusal(/locking_mode=EXCLUSIVE/));
    const replaced = replica('replaced');
    rmSync(replaced.path);
    await service.open('replaced', replaced.path);
    await service.exec('replaced', 'PRAGMA journal_mode = WAL');
    assert.throws(() => replaced.state.open(), refusal(/deleted or replaced/));
    const deleted = replica('deleted');
    rmSync(deleted.path);
    assert.throws(() => deleted.state.open(), refusal(/deleted or replaced/));
  });
});

void test('a service that closes its only connection, and has the database to itself meanwhile, is waited for', async () => {
  await withReplicas(async (replica, service) => {
    const one = replica('one');
    await service.open('one', one.path);
    await service.exec('one', 'PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE t (a)');
    const closed = [service.exec('one', busyFor(2e6)), service.close('one')];
    one.state.open();
    await Promise.all(closed);
    assert.notEqual(one.state.capture().length, 0);
  });
});

/** Commits as SQLite does, and loses the processor between the two copies of the header by which it says so. */
const HALTED_WRITER = `
  const { openSync, readSync, writeSync } = require('node:fs');
  const { DatabaseSync } = require('node:sqlite');
  const [path, sql] = process.argv.slice(1);
  const database = new DatabaseSync(path);
  database.exec('SELECT * FROM sqlite_schema');
  const index = openSync(path + '-shm', 'r+');
  const [before, after] = [Buffer.alloc(48), Buffer.alloc(48)];
  readSync(index, before, 0, 48, 0);
  database.exec(sql);
  readSync(index, after, 0, 48, 0);
  writeSync(index, before, 0, 48, 0);
  setTimeout(() => writeSync(index, after, 0, 48, 0), 300);
  console.log('halted');`;

void test('a service that still writes while it starts, and loses the processor while it says that it has committed, is waited for', async () => {
  await withReplicas(async (replica) => {
    const active = await replica('active').start('node', 'CREATE TABLE t (a)');
    const args = ['-e', HALTED_WRITER, active.path, 'INSERT INTO t VALUES (1)'];
    const writer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(writer.stdout, 'data');
    assert.notEqual(active.state.capture().length, 0);
    await once(writer, 'exit');
  });
});

void test('files taken away while the service runs are noticed with the next request, also when nothing else changes', async () => {
  const acts: Readonly<Record<string, (path: string) => void>> = {
    moved: (path) => renameSync(path, `${path}.old`),
    deleted: (path) => rmSync(path),
    index: (path) => rmSync(`${path}-shm`),
  };
  for (const [name, act] of Object.entries(acts)) {
    await withReplicas(async (replica) => {
      const active = await replica(name).start('node', 'CREATE TABLE t (a)');
      await active.run();
      act(active.path);
      assert.throws(() => active.state.capture(), refusal(/deleted or replaced/), name);
    });
  }
  await withReplicas(async (replica) => {
    const active = await replica('log').start('node', 'CREATE TABLE t (a)');
    await active.run();
    rmSync(`${active.path}-wal`);
    await assert.rejects(active.run('INSERT INTO t VALUES (1)'), refusal(/-wal.*deleted or replaced/));
  });
});

void test('a database file that is written over in place is noticed with the next request, also when nothing else changes', async () => {
  const acts: Readonly<Record<string, string>> = {
    emptied: 'truncate -s 0 "$0"',
    restored: 'cat "$0.backup" > "$0"',
  };
  for (const [name, act] of Object.entries(acts)) {
    await withReplicas(async (replica) => {
      const active = await replica(name).start('node', 'CREATE TABLE t (a)');
      await active.run(`VACUUM INTO '${active.path}.backup'`, GROW);
      await active.run('INSERT INTO t VALUES (1)');
      // By another process: a descriptor that is closed in this one takes its locks along.
      execFileSync('sh', ['-c', act, active.path]);
      assert.throws(() => active.state.capture(), refusal(/written to by other means/), name);
    });
  }
});

void test('a start that touches the database that it is given is no writing to it', async () => {
  await withReplicas(async (replica) => {
    const first = await replica('first').start('node', 'CREATE TABLE t (a)');
    await first.run();
    for (const founds of [true, false]) {
      const other = replica(`founds ${founds}`, first.archive(), founds);
      execFileSync('touch', [other.path]);
      await other.start();
      if (!founds) other.state.flush();
      await other.run('INSERT INTO t VALUES (1)');
      execFileSync('sh', ['-c', 'cat "$0" > "$0.copy" && cat "$0.copy" > "$0"', other.path]);
      assert.throws(() => other.state.capture(), refusal(/written to by other means/));
    }
  });
});

void test('a start that writes another database of the same length over the one that it is given is refused', async () => {
  await withReplicas(async (replica) => {
    const first = await replica('first').start('node', 'CREATE TABLE t (a)');
    await first.run();
    const seed = `${first.path}.seed`;
    execFileSync('cp', [first.path, seed]);
    await first.run('INSERT INTO t VALUES (1)');
    for (const founds of [true, false]) {
      const other = replica(`founds ${founds}`, first.archive(), founds);
      execFileSync('cp', [seed, other.path]);
      await assert.rejects(other.start(), refusal(/written to by other means/));
    }
  });
});

void test('a log that was reset or cut off before it was read is refused', async () => {
  await withReplicas(async (replica, service) => {
    const active = await replica('reset').start('node', 'CREATE TABLE t (a); INSERT INTO t VALUES (7), (8)');
    // As long as what it holds is not moved into the file, nobody can say that it was.
    await service.open('reader', active.path);
    await service.cursor('reader', 'SELECT a FROM t');
    await active.run('INSERT INTO t VALUES (9)');
    await service.advance('reader');
    await active.run('INSERT INTO t VALUES (1)');
    // Drops the locks of this process on the file, so that the service can do what it otherwise cannot.
    closeSync(openSync(`${active.path}-shm`, 'r'));
    const reset = active.run(
      'INSERT INTO t VALUES (2)',
      'PRAGMA wal_checkpoint(TRUNCATE)',
      'INSERT INTO t VALUES (3)',
    );
    await assert.rejects(reset, refusal(/log was reset/));
  });
  await withReplicas(async (replica, service) => {
    const active = await replica('cut').start('node', 'CREATE TABLE t (a)');
    await active.run('INSERT INTO t VALUES (1)');
    await service.exec(active.name, 'INSERT INTO t VALUES (2)');
    truncateSync(`${active.path}-wal`, 32);
    assert.throws(() => active.state.capture(), refusal(/cut off/));
  });
});

function refusal(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StateError, String(error));
    assert.match(error.message, message);
    return true;
  };
}
