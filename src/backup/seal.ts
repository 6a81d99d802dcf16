/**
 * The second half of a backup: to a copy of the store's database, the states are added that its updates belong on.
 *
 * S1. What is not what was written to the data folder is not made part of a backup, which would say that it is whole.
 */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { BASE_FILE } from '../data-folder.ts';
import { SteadyFile, syncFile } from '../durable.ts';
import { stateChanged } from '../errors.ts';
import { checkSums } from '../ordering/sums.ts';
import {
  APPLICATION_ID,
  BACKUP_SCHEMA,
  checkpointOf,
  contentDigest,
  factOf,
  type Part,
  VERSION,
} from './container.ts';

export interface SealOptions {
  /** The copy. */
  readonly file: string;
  /** Where the states lie. */
  readonly dataFolder: string;
}

export interface Sealed {
  readonly digest: string;
  /** The last entry whose effect is recorded; -1: none. */
  readonly decided: number;
}

const CHUNK_BYTES = 1024 ** 2;

export function seal({ file, dataFolder }: SealOptions): Sealed {
  using steady = new SteadyFile(file);
  const database = new DatabaseSync(file);
  try {
    database.exec(`pragma journal_mode = delete; pragma synchronous = off; begin; ${BACKUP_SCHEMA}`);
    const checkpoint = checkpointOf(database);
    const base = join(dataFolder, BASE_FILE);
    const baseDigest = factOf(database, 'facts', 'base');
    const add = (part: Part, path: string, digest: string | null): void => {
      const found = addState(database, part, path, steady);
      if (digest !== null && found !== digest) throw stateChanged(path);
    };
    if (baseDigest !== null || existsSync(base)) add('base', base, baseDigest);
    if (checkpoint !== null) add('checkpoint', join(dataFolder, checkpoint.file), checkpoint.digest ?? null);
    const fact = database.prepare('insert into backup values (?, ?)');
    fact.run('made', new Date().toISOString());
    checkSums(database);
    const digest = contentDigest(database);
    fact.run('digest', digest);
    const decided = Number(factOf(database, 'facts', 'decided') ?? -1);
    database.exec(`commit; pragma application_id = ${APPLICATION_ID}; pragma user_version = ${VERSION}`);
    return { digest, decided };
  } finally {
    database.close();
    syncFile(file);
  }
}

/** Returns its SHA-256 in base64. */
function addState(database: DatabaseSync, part: Part, path: string, steady: SteadyFile): string {
  const hash = createHash('sha256');
  const insert = database.prepare('insert into state values (?, ?, ?)');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const fd = openSync(path, 'r');
  try {
    for (let seq = 0; ; seq++) {
      const length = readSync(fd, chunk, 0, CHUNK_BYTES, null);
      if (length === 0) return hash.digest('base64');
      const bytes = chunk.subarray(0, length);
      hash.update(bytes);
      insert.run(part, seq, bytes);
      steady.wrote(length);
    }
  } finally {
    closeSync(fd);
  }
}
