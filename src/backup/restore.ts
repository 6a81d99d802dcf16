/**
 * Makes a data folder from a backup: a group that is started with it goes on where the backup was made.
 *
 * R2. The folder has a store only once all else in it is durable: what was interrupted is no data folder.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { BASE_FILE, makePrivateFile, PRIVATE, RESTORED_FILE, STORE_FILE } from '../data-folder.ts';
import { syncFile } from '../durable.ts';
import { messageOf, SpareError } from '../errors.ts';
import { SCHEMA } from '../ordering/store-protocol.ts';
import { isSummed, sumOf } from '../ordering/sums.ts';
import { checkpointOf, type Part, piecesOf, tablesOf } from './container.ts';
import { readBackup, type Source, type Verified } from './source.ts';

export interface RestoreOptions extends Source {
  /** Has an empty folder for domains, and nothing else. */
  readonly dataFolder: string;
  /** Whose data it is from now on. */
  readonly service: string;
}

/** Throws `SpareError` backup-missing, backup-foreign, backup-damaged, backup-failed. */
export function restore(options: RestoreOptions): Verified {
  return readBackup(options, (database, progress) => fill(database, options, progress));
}

function fill(database: DatabaseSync, options: RestoreOptions, progress: (bytes: number) => void): void {
  const { dataFolder, backup } = options;
  const unfinished = join(dataFolder, RESTORED_FILE);
  try {
    // By it and the folder for domains it is known as a data folder before a group runs in it.
    makePrivateFile(unfinished);
    writeState(database, 'base', join(dataFolder, BASE_FILE), progress);
    const checkpoint = checkpointOf(database);
    if (checkpoint !== null) writeState(database, 'checkpoint', join(dataFolder, checkpoint.file), progress);
    writeStore(unfinished, database, options.service);
    syncFile(unfinished);
    syncFile(dataFolder);
    renameSync(unfinished, join(dataFolder, STORE_FILE));
    syncFile(dataFolder);
    syncFile(dirname(dataFolder));
  } catch (error) {
    throw new SpareError('backup-failed', `${backup} could not be restored: ${messageOf(error)}.`, {
      hint: 'There must be room for all of it in the data folder.',
      cause: error,
    });
  }
}

function writeState(
  database: DatabaseSync,
  part: Part,
  path: string,
  progress: (bytes: number) => void,
): void {
  let fd: number | null = null;
  for (const bytes of piecesOf(database, part)) {
    fd ??= openSync(path, 'wx', PRIVATE);
    writeFileSync(fd, bytes);
    progress(bytes.length);
  }
  if (fd === null) return;
  fsyncSync(fd);
  closeSync(fd);
}

/** Row by row: what lies at the path of the backup may be another one by now. */
function writeStore(path: string, database: DatabaseSync, service: string): void {
  const store = new DatabaseSync(path);
  try {
    store.exec('pragma journal_mode = off; pragma synchronous = off');
    store.exec(`begin; ${SCHEMA}`);
    for (const table of tablesOf(database)) copyRows(database, store, table);
    store.prepare(`update facts set value = ? where name = 'service'`).run(service);
    store.exec('commit');
  } finally {
    store.close();
  }
}

/** But for sums, over which the backup's digest is not: these are made of what it is over. */
function copyRows(from: DatabaseSync, to: DatabaseSync, table: string): void {
  const rows = from.prepare(`select * from ${table}`);
  const found = rows.columns().map(({ name }) => name);
  const names = isSummed(table) ? [...new Set([...found, 'sum'])] : found;
  const marks = names.map(() => '?');
  const insert = to.prepare(`insert into ${table} (${names.join(', ')}) values (${marks.join(', ')})`);
  for (const row of rows.iterate()) {
    if (isSummed(table)) row['sum'] = sumOfRow(row);
    insert.run(...names.map((name) => row[name] ?? null));
  }
}

function sumOfRow({ bytes }: Record<string, SQLOutputValue>): number | null {
  return bytes instanceof Uint8Array || typeof bytes === 'string' ? sumOf(bytes) : null;
}
