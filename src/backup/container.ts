/**
 * A backup: one SQLite database with the tables of the store, and the whole states (the initial one, the checkpoint) that
 * its updates belong on top of. What SQLite reads, a person can read.
 *
 * K1. The digest is over all that a restored group goes on from; not over where it lay. A backup of what was just restored has
 *     the digest of the backup that it was restored from.
 */
import { createHash, type Hash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { CHECKPOINT_FILE } from '../data-folder.ts';
import type { Checkpoint } from '../ordering/store-protocol.ts';

/** "SPAR". */
export const APPLICATION_ID = 0x53504152;
/** 1: without `forgotten`; 2: without sums of rows. */
export const VERSION = 3;

export const BACKUP_SCHEMA = `
  create table state (part text not null, seq integer not null, bytes blob not null, primary key (part, seq));
  create table backup (name text primary key, value text not null);`;

/** The initial state, if there was one, and the one that updates belong on top of, if it is a later one. */
export type Part = 'base' | 'checkpoint';

/** Rows of the tables that a group goes on from, in an order of their own. */
const CONTENT = [
  `select name, value from facts where name <> 'service' order by name`,
  'select idx, bytes from entries order by idx',
  'select idx, bytes from updates order by idx',
  'select idx, key, fingerprint, bytes from replies order by idx',
  'select part, seq, bytes from state order by part, seq',
];

/** An empty one counts like none, so that what was restored from a backup of version 1 has its digest. */
const FORGOTTEN = 'select at, idx from forgotten order by at, idx';

/** Tables of the store that are in the backup. */
export function tablesOf(database: DatabaseSync): string[] {
  const tables = ['entries', 'updates', 'replies', 'facts'];
  const later = database.prepare(`select name from sqlite_master where name = 'forgotten'`).get();
  return later === undefined ? tables : [...tables, 'forgotten'];
}

function contentOf(database: DatabaseSync): string[] {
  const isLater = tablesOf(database).includes('forgotten');
  return isLater && database.prepare(FORGOTTEN).get() !== undefined ? [...CONTENT, FORGOTTEN] : CONTENT;
}

/** `progress` gets the number of bytes read since the last call. Throws when the database is damaged. */
export function contentDigest(database: DatabaseSync, progress: (bytes: number) => void = () => {}): string {
  const hash = createHash('sha256');
  for (const query of contentOf(database)) {
    hash.update(`${query}\n`);
    for (const row of database.prepare(query).iterate()) {
      for (const value of Object.values(row)) progress(add(hash, value));
    }
  }
  return hash.digest('hex');
}

/** Type and length first, so that no two contents look the same. */
function add(hash: Hash, value: unknown): number {
  const bytes = value instanceof Uint8Array ? value : Buffer.from(String(value));
  hash.update(`${value === null ? 'null' : typeof value} ${bytes.length}\n`).update(bytes);
  return bytes.length;
}

/** The bytes of a state, in order. */
export function* piecesOf(database: DatabaseSync, part: Part): Generator<Uint8Array> {
  const rows = database.prepare('select bytes from state where part = ? order by seq');
  for (const row of rows.iterate(part)) yield row['bytes'] as Uint8Array;
}

export function factOf(database: DatabaseSync, table: 'facts' | 'backup', name: string): string | null {
  const row = database.prepare(`select value from ${table} where name = ?`).get(name);
  return row === undefined ? null : String(row['value']);
}

/** Of which the file lies in the data folder; null when there is none. Throws when that is no name of a checkpoint. */
export function checkpointOf(database: DatabaseSync): Checkpoint | null {
  const fact = JSON.parse(factOf(database, 'facts', 'checkpoint') ?? 'null') as Checkpoint | null;
  if (fact === null || CHECKPOINT_FILE.test(fact.file)) return fact;
  throw new Error(`${JSON.stringify(fact.file)} is no checkpoint`);
}
