/** The second half of a backup: to a copy of the store's database, the states are added that its updates belong on. */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SteadyFile, syncFile } from '../durable.ts';
import {
  APPLICATION_ID,
  BACKUP_SCHEMA,
  BASE_FILE,
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
    if (existsSync(base)) addState(database, 'base', base, steady);
    if (checkpoint !== null) addState(database, 'checkpoint', join(dataFolder, checkpoint), steady);
    const fact = database.prepare('insert into backup values (?, ?)');
    fact.run('made', new Date().toISOString());
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

function addState(database: DatabaseSync, part: Part, path: string, steady: SteadyFile): void {
  const insert = database.prepare('insert into state values (?, ?, ?)');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const fd = openSync(path, 'r');
  try {
    for (let seq = 0; ; seq++) {
      const length = readSync(fd, chunk, 0, CHUNK_BYTES, null);
      if (length === 0) return;
      insert.run(part, seq, chunk.subarray(0, length));
      steady.wrote(length);
    }
  } finally {
    closeSync(fd);
  }
}
