/** Is the state in a backup what is exported of it, and is what is not in it told? */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { digestOf } from '../manager/ballots.ts';
import { RECORD } from '../ordering/store-protocol.ts';
import { Store } from '../ordering/store.ts';
import { createSqliteState } from '../replica/state/sqlite.ts';
import { encodeBare, encodeRequestEntry } from '../wire/entry.ts';
import { exportState } from './export.ts';
import { makeBackup } from './make.ts';

const SEED = Buffer.alloc(32, 7);
const FILES = ['a.db', 'below/b.db'];

/** What a copy of a service with two files writes: at its start, and for each of two requests. */
function updatesIn(folder: string): { updates: Buffer[]; archives: Buffer[] } {
  const paths = FILES.map((name) => join(folder, name));
  const state = createSqliteState(paths);
  state.prepare().end();
  const databases = paths.map((path) => new DatabaseSync(path));
  const run = (...sql: string[]): void => databases.forEach((database, at) => database.exec(sql[at] ?? ''));
  const [updates, archives]: [Buffer[], Buffer[]] = [[], []];
  const capture = (): void => {
    updates.push(Buffer.from(state.capture()));
    archives.push(Buffer.concat([...state.export(1000)]));
  };
  run('create table t (x)', 'create table u (y)');
  state.open();
  capture();
  run(`insert into t values (zeroblob(50000)), ('one')`);
  capture();
  run(`delete from t where x <> 'one'`, `insert into u values ('two')`);
  capture();
  for (const database of databases) database.close();
  state.close();
  return { updates, archives };
}

for (const checkpoint of [false, true]) {
  test(`what is exported is the state after the last entry that is recorded: ${checkpoint ? 'from a checkpoint on' : 'from the beginning'}`, async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-export-'));
    const make = (name: string): string => {
      mkdirSync(join(place.path, name));
      return join(place.path, name);
    };
    const { updates, archives } = updatesIn(make('copy'));
    const data = make('data');
    const { store } = await Store.open(join(data, 'spare.db'), 'the service');
    store.writeEntry(0, encodeBare('start', 1, SEED));
    for (const index of [1, 2, 3])
      store.writeEntry(index, encodeRequestEntry(null, Buffer.from('request'), index, SEED));
    for (const [index, update] of updates.entries()) store.write(RECORD.update, index, update);
    store.writeDecided(2);
    if (checkpoint) {
      const archive = archives[1] ?? Buffer.alloc(0);
      writeFileSync(join(data, 'checkpoint-1'), archive);
      const fact = { index: 1, file: 'checkpoint-1', digest: digestOf(archive) };
      store.write(RECORD.checkpoint, 1, Buffer.from(JSON.stringify(fact)));
      store.write(RECORD.truncateUpdates, 1);
    }
    const { file: backup } = await makeBackup(store, data, null, new AbortController().signal);
    await store.close();
    const paths = FILES.map((name) => join(make(`out-${name.length}`), name));
    const { decided, later } = exportState({ backup, fits: () => true, progress: () => {} }, paths);
    assert.deepEqual([decided, later], [2, 1]);
    const rows = paths.map((path, at) => {
      using database = new DatabaseSync(path);
      assert.deepEqual({ ...database.prepare('pragma integrity_check').get() }, { integrity_check: 'ok' });
      return database.prepare(`select * from ${['t', 'u'][at]}`).all();
    });
    assert.deepEqual(
      rows.map((all) => all.map((row) => ({ ...row }))),
      [[{ x: 'one' }], [{ y: 'two' }]],
    );
  });
}
