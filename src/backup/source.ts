/**
 * A backup that is read.
 *
 * R1. Nothing is believed of a file before its digest is right, and nothing is taken from another one that lies in its place since.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, SpareError } from '../errors.ts';
import { APPLICATION_ID, contentDigest, factOf, VERSION } from './container.ts';

export interface Source {
  readonly backup: string;
  /** Whether a backup of the service with this name will do. */
  readonly fits: (service: string) => boolean;
  /** Gets the bytes read so far; each is read twice. */
  readonly progress: (bytes: number) => void;
}

export interface Verified {
  readonly digest: string;
  readonly made: string;
  readonly decided: number;
}

/**
 * `use` gets what was verified, and what it is to call with the bytes that it reads. Throws `SpareError` backup-missing,
 * backup-foreign, backup-damaged, backup-failed.
 */
export function readBackup(
  source: Source,
  use: (database: DatabaseSync, progress: (bytes: number) => void, decided: number) => void,
): Verified {
  const { backup, fits } = source;
  checkFile(backup);
  const database = open(backup);
  try {
    let read = 0;
    const progress = (bytes: number): void => source.progress((read += bytes));
    const digest = checked(backup, () => verify(database, backup, fits, progress));
    const decided = Number(factOf(database, 'facts', 'decided') ?? -1);
    use(database, progress, decided);
    return { digest, made: factOf(database, 'backup', 'made') ?? '', decided };
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
      hint: 'Whoever calls `spare` must be allowed to read it.',
      cause: error,
    });
  }
}

function foreign(backup: string, why: string): SpareError {
  return new SpareError('backup-foreign', `${backup} cannot be used here: ${why}.`, {
    hint: 'Name what `spare backup` made of this service.',
  });
}

function damaged(backup: string, why: string): SpareError {
  return new SpareError('backup-damaged', `${backup} is damaged: ${why}.`, {
    hint: 'Take another copy of it, or an earlier backup. It is never repaired by guessing.',
  });
}

const BUSY = 5;
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
    const { errcode } = error as { errcode?: number };
    if (errcode === NOT_A_DATABASE) throw foreign(backup, 'it is no backup of Spare');
    // As a running group's own database.
    if (errcode === BUSY) throw foreign(backup, 'a program that runs writes to it, as none does to a backup');
    throw damaged(backup, messageOf(error));
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
  fits: Source['fits'],
  progress: (bytes: number) => void,
): string {
  const digest = factOf(database, 'backup', 'digest') ?? '';
  if (contentDigest(database, progress) !== digest)
    throw damaged(backup, 'its digest is not that of its content');
  const service = factOf(database, 'facts', 'service') ?? '';
  if (!fits(service)) throw foreign(backup, `it is of ${service}`);
  return digest;
}
