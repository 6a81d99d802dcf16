/**
 * The state that all had before the entry: what f+1 replicas had agreed on, made anew from a checkpoint and the updates
 * after it. Only this is opened with SQLite, never a page that one replica alone sent.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { type PlainFile, plainFiles } from '../../replica/state/plain.ts';

/** In the scratch folder. */
export const STATE_FILE = 'state';
/** Each as its length, 32 bits little-endian, and its bytes. */
export const UPDATES_FILE = 'updates';

/** Which table or index each page belongs to, and the columns of the tables. */
export function layoutOf({ path }: PlainFile): {
  readonly owners: Map<number, string>;
  readonly columns: (table: string) => string[];
} {
  const url = pathToFileURL(path);
  url.search = '?immutable=1';
  const database = new DatabaseSync(url, { readOnly: true });
  try {
    const owners = new Map<number, string>();
    for (const row of database.prepare('select name, pageno from dbstat').iterate())
      owners.set(Number(row['pageno']), String(row['name']));
    const names = database.prepare('select name from pragma_table_info(?) order by cid');
    const tables = new Map<string, string[]>();
    for (const table of new Set(owners.values()))
      tables.set(
        table,
        names.all(table).map((row) => String(row['name'])),
      );
    return { owners, columns: (table) => tables.get(table) ?? [] };
  } finally {
    database.close();
  }
}

function* updatesIn(bytes: Buffer): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32LE(at);
    yield bytes.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
}

/** The files of the state, made in the scratch folder from what the manager left there. Throws a `StateError`. */
export function verifiedFiles(scratch: string, count: number): PlainFile[] {
  const state = join(scratch, STATE_FILE);
  const paths = Array.from({ length: count }, (_, at) => join(scratch, `${at}.db`));
  const archive = existsSync(state) ? [readFileSync(state)] : [];
  return plainFiles(paths, archive, updatesIn(readFileSync(join(scratch, UPDATES_FILE))));
}
