/**
 * Turns SQLite databases that a user has already into the initial state of a group. For the manager, outside of any domain.
 *
 * E1. The user's files are read, never opened by SQLite or written: all work is on copies. They must not be in use.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type PageSource, writeArchive } from './archive.ts';
import { canonicalize, FILE_HEADER_BYTES, type FileHeader, parseFileHeader } from './page.ts';
import { StateError } from './state.ts';

export class JournalModeError extends StateError {
  readonly path: string;

  constructor(path: string) {
    super(`${path}: not in WAL mode`);
    this.path = path;
  }
}

/**
 * Reads existing databases, in the order in which the service's state files are named, as an archive for `State.prepare` in
 * chunks as of `writeArchive`. Before the first chunk, throws a `StateError` when a file is missing, no database, or not in WAL mode
 * (`JournalModeError`), and what the system says when it cannot be read. `place`: a folder of ours, with room for all of them.
 */
export function* exportDatabaseFiles(
  paths: readonly string[],
  chunkBytes: number,
  place: string,
): Generator<Uint8Array> {
  const folder = mkdtempSync(join(place, 'base-'));
  const copies: Copy[] = [];
  try {
    for (const [at, path] of paths.entries()) copies.push(copyDatabase(path, join(folder, String(at))));
    yield* writeArchive(copies, chunkBytes);
  } finally {
    for (const copy of copies) closeSync(copy.fd);
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Copy extends PageSource {
  readonly fd: number;
}

/** Copies a database with its log and moves the log of the copy into it. */
function copyDatabase(path: string, copy: string): Copy {
  const header = inspect(path);
  copyFileSync(path, copy);
  if (existsSync(`${path}-wal`)) copyFileSync(`${path}-wal`, `${copy}-wal`);
  try {
    const database = new DatabaseSync(copy, { defensive: false });
    database.exec('PRAGMA synchronous=OFF; PRAGMA writable_schema=ON; PRAGMA wal_checkpoint(TRUNCATE)');
    database.close();
  } catch (error) {
    throw new StateError(`${path}: SQLite cannot read it: ${String(error)}`, { cause: error });
  }
  const { pageSize } = header;
  const { size } = statSync(copy);
  if (size === 0 || size % pageSize !== 0) {
    throw new StateError(`${path}: damaged: ${size} bytes are not a number of ${pageSize}-byte pages`);
  }
  const fd = openSync(copy, 'r');
  const image = Buffer.alloc(pageSize);
  return {
    fd,
    pageSize,
    pageCount: size / pageSize,
    read(page: number): Uint8Array {
      readSync(fd, image, 0, pageSize, (page - 1) * pageSize);
      canonicalize(page, image);
      return image;
    },
  };
}

function inspect(path: string): FileHeader {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new StateError(`${path}: there is no such file`);
  if (!stats.isFile()) throw new StateError(`${path}: not a file`);
  const fd = openSync(path, 'r');
  const bytes = Buffer.alloc(FILE_HEADER_BYTES);
  const count = readSync(fd, bytes, 0, FILE_HEADER_BYTES, 0);
  closeSync(fd);
  // To SQLite a database with nothing in it, as some services leave one.
  if (count === 0) throw new JournalModeError(path);
  const header = parseFileHeader(bytes.subarray(0, count));
  if (header === null) throw new StateError(`${path}: not a SQLite database`);
  if (!header.wal) throw new JournalModeError(path);
  return header;
}
