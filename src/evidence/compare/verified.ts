/**
 * The state that all had before the entry: what f+1 replicas had agreed on, made anew from a checkpoint and the updates
 * after it. Only this is opened with SQLite, never a page that one replica alone sent.
 */
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { ArchiveReader } from '../../replica/state/archive.ts';
import { ByteReader } from '../../replica/state/bytes.ts';
import { writePages } from '../../replica/state/files.ts';
import { applyPage, type FilePatch, readPatch } from '../../replica/state/patch.ts';

/** In the scratch folder. */
export const STATE_FILE = 'state';
/** Each as its length, 32 bits little-endian, and its bytes. */
export const UPDATES_FILE = 'updates';

const FILES_MAX = 0xffff;

/** One for each of the service's state files; null: it did not change. Throws a `StateError`. Only the first `pagesMax` pages are kept. */
export function patchesOf(update: Uint8Array, pagesMax: number = Infinity): (FilePatch | null)[] {
  if (update.length === 0) return [];
  const reader = new ByteReader(update);
  reader.byte('the version');
  const count = reader.varint('the number of files', FILES_MAX);
  let left = pagesMax;
  const patches = Array.from({ length: count }, () => {
    const patch = reader.varint('a flag', 1) === 1 ? readPatch(reader, left) : null;
    left -= patch?.pages.length ?? 0;
    return patch;
  });
  reader.end();
  return patches;
}

/** One database file, its pages from 1. */
export class VerifiedFile {
  readonly path: string;
  readonly #fd: number;

  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, 'w+');
  }

  /** Zeros above the end of the file. */
  read(page: number, pageSize: number): Buffer {
    const image = Buffer.alloc(pageSize);
    readSync(this.#fd, image, 0, pageSize, (page - 1) * pageSize);
    return image;
  }

  write(page: number, image: Uint8Array): void {
    writePages(this.#fd, page, image, image.length);
  }

  apply({ pageSize, pageCount, pages }: FilePatch): void {
    for (const patch of pages) {
      const image = this.read(patch.page, pageSize);
      applyPage(patch, image);
      this.write(patch.page, image);
    }
    ftruncateSync(this.#fd, pageCount * pageSize);
  }

  /** Which table or index each page belongs to, and the columns of the tables. */
  layout(): { readonly owners: Map<number, string>; readonly columns: (table: string) => string[] } {
    const url = pathToFileURL(this.path);
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

  close(): void {
    closeSync(this.#fd);
  }
}

/** The files of the state, made in the scratch folder from what the manager left there. Throws a `StateError`. */
export function verifiedFiles(scratch: string, count: number): VerifiedFile[] {
  const files: VerifiedFile[] = [];
  const state = join(scratch, STATE_FILE);
  const archive = new ArchiveReader(count, function* (sizes) {
    for (const [at, { pageSize, pageCount }] of sizes.entries()) {
      const file = new VerifiedFile(join(scratch, `${at}.db`));
      files.push(file);
      const image = Buffer.alloc(pageSize);
      for (let page = 1; page <= pageCount; page++) {
        yield image;
        file.write(page, image);
      }
    }
  });
  if (existsSync(state)) archive.take(readFileSync(state));
  archive.end();
  const updates = readFileSync(join(scratch, UPDATES_FILE));
  for (let at = 0; at < updates.length;) {
    const length = updates.readUInt32LE(at);
    for (const [i, patch] of patchesOf(updates.subarray(at + 4, at + 4 + length)).entries())
      if (patch !== null) files[i]?.apply(patch);
    at += 4 + length;
  }
  return files;
}
