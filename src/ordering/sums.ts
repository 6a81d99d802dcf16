/**
 * A sum over what a row holds, kept beside it: SQLite notices damage of its own structure only, and what the disk made of an update
 * would be in all replicas alike, so that nobody would notice.
 */
import type { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { MalformedError } from '../wire/bytes.ts';

/** Its tables, and what a row of each is called. */
const SUMMED = { entries: 'entry', updates: 'the update of entry', replies: 'the reply to entry' } as const;
type Summed = keyof typeof SUMMED;
const TABLES = Object.keys(SUMMED) as Summed[];

export function sumOf(bytes: Uint8Array | string): number {
  return crc32(bytes);
}

export function isSummed(table: string): boolean {
  return Object.hasOwn(SUMMED, table);
}

/** `sum`: null where an earlier version wrote none. Throws `MalformedError`. */
export function checkSum(table: Summed, { idx, bytes, sum }: Record<string, unknown>): void {
  if (sum === null) return;
  const fits = (bytes instanceof Uint8Array || typeof bytes === 'string') && sumOf(bytes) === sum;
  if (!fits) throw new MalformedError(`${SUMMED[table]} ${Number(idx)} is not what was written`);
}

/** All of them. Throws `MalformedError`. */
export function checkSums(db: DatabaseSync): void {
  for (const table of TABLES) {
    const rows = db.prepare(`select idx, bytes, sum from ${table} where bytes is not null`);
    for (const row of rows.iterate()) checkSum(table, row);
  }
}

/** To a database of an earlier version. */
export function addSums(db: DatabaseSync): void {
  for (const table of TABLES) {
    const columns = db.prepare(`select name from pragma_table_info(?)`).all(table);
    if (!columns.some(({ name }) => name === 'sum')) db.exec(`alter table ${table} add column sum integer`);
  }
}
