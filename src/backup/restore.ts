/**
 * Makes a data folder from a backup: a group that is started with it goes on where the backup was made.
 *
 * R1. Nothing is believed of a file before its digest is right, and nothing is taken from another one that lies in its place since.
 * R2. The folder has a store only once all else in it is durable: what was interrupted is no data folder.
 */
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  openSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { BASE_FILE, makePrivateFile, PRIVATE, RESTORED_FILE, STORE_FILE } from '../data-folder.ts';
import { syncFile } from '../durable.ts';
import { messageOf, SpareError } from '../errors.ts';
import { SCHEMA } from '../ordering/store-protocol.ts';
import { isSummed, sumOf } from '../ordering/sums.ts';
import {
  APPLICATION_ID,
  checkpointOf,
  contentDigest,
  factOf,
  type Part,
  VERSION,
  tablesOf,
} from './container.ts';

export interface RestoreOptions {
  readonly backup: string;
  /** Has an empty folder for domains, and nothing else. */
  readonly dataFolder: string;
  /** Whose data it is from now on. */
  readonly service: string;
  /** Whether a backup of the service with this name can be its data. */
  readonly fits: (service: string) => boolean;
  /** Gets the bytes read so far; each is read twice. */
  readonly progress: (bytes: number) => void;
}

export interface Restored {
  readonly digest: string;
  readonly made: string;
  readonly decided: number;
}

/** Throws `SpareError` backup-missing, backup-foreign, backup-damaged, backup-failed. */
export function restore(options: RestoreOptions): Restored {
  const { backup, fits } = options;
  checkFile(backup);
  const database = open(backup);
  try {
    let read = 0;
    const progress = (bytes: number): void => options.progress((read += bytes));
    const digest = checked(backup, () => verify(database, backup, fits, progress));
    fill(database, options, progress);
    const made = factOf(database, 'backup', 'made') ?? '';
    return { digest, made, decided: Number(factOf(database, 'facts', 'decided') ?? -1) };
  } finally {
    database.close();
  }
}

function missing(message: string): SpareError {
  return new SpareError('backup-missing', message, { hint: 'Name the file that `spare backup` made.' });
}

/** Of what is no file SQLite says little, or waits for it for ever. */
function checkFile(backup: string): void {
  try {
    const stats = statSync(backup);
    if (!stats.isFile())
      throw missing(`${backup} is ${stats.isDirectory() ? 'a folder' : 'no regular file'}.`);
    accessSync(backup, constants.R_OK);
  } catch (error) {
    if (error instanceof SpareError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw missing(`There is no file ${backup}.`);
    throw new SpareError('backup-failed', `${backup} cannot be read: ${messageOf(error)}.`, {
      hint: 'Whoever calls `spare restore` must be allowed to read it.',
      cause: error,
    });
  }
}

function foreign(backup: string, why: string): SpareError {
  return new SpareError('backup-foreign', `${backup} cannot be restored here: ${why}.`, {
    hint: 'Name what `spare backup` made of this service.',
  });
}

function damaged(backup: string, why: string): SpareError {
  return new SpareError('backup-damaged', `${backup} is damaged: ${why}.`, {
    hint: 'Take another copy of it, or an earlier backup. It is never repaired by guessing.',
  });
}

const NOT_A_DATABASE = 26;

function open(backup: string): DatabaseSync {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(backup, { readOnly: true });
    const id = Number(database.prepare('pragma application_id').get()?.['application_id']);
    const version = Number(database.prepare('pragma user_version').get()?.['user_version']);
    if (id !== APPLICATION_ID) throw foreign(backup, 'it is no backup of Spare');
    if (version > VERSION) throw foreign(backup, 'a newer Spare made it');
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof SpareError) throw error;
    const isNone = (error as { errcode?: number }).errcode === NOT_A_DATABASE;
    throw isNone ? foreign(backup, 'it is no backup of Spare') : damaged(backup, messageOf(error));
  }
}

/** What SQLite finds wrong is damage. */
function checked<T>(backup: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof SpareError) throw error;
    throw damaged(backup, messageOf(error));
  }
}

function verify(
  database: DatabaseSync,
  backup: string,
  fits: RestoreOptions['fits'],
  progress: (bytes: number) => void,
): string {
  const digest = factOf(database, 'backup', 'digest') ?? '';
  if (contentDigest(database, progress) !== digest)
    throw damaged(backup, 'its digest is not that of its content');
  const service = factOf(database, 'facts', 'service') ?? '';
  if (!fits(service)) throw foreign(backup, `it is of ${service}`);
  return digest;
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
  const rows = database.prepare('select bytes from state where part = ? order by seq').iterate(part);
  let fd: number | null = null;
  for (const row of rows) {
    const bytes = row['bytes'] as Uint8Array;
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
