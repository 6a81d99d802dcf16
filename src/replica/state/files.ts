/**
 * The three files of one database as the agent's own descriptors, and whether the paths still lead to them.
 *
 * F1. A descriptor is closed only in `close`, after the agent's connections: closing any descriptor of a file drops all
 *     POSIX locks that the process has on it.
 * F2. A file that the service deleted or replaced is noticed at the next check: its descriptor keeps the inode number from
 *     being used again.
 */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { FILE_HEADER_BYTES, FILE_SUFFIXES, type FileHeader, parseFileHeader, writePages } from './page.ts';
import { StateError } from './state.ts';
import { WalIndex } from './wal-index.ts';

/** A bit of the number that SQLite counts up at each change of the schema: a thousand million changes away. */
const FAR = 0x4000_0000;

export class DatabaseFiles {
  readonly #path: string;
  readonly #fd: number;
  readonly identity: { readonly dev: number; readonly ino: number };
  #log: { readonly wal: number; readonly index: number } | null = null;
  /** When the database file was written last, and its length; null while SQLite may write to it. */
  #kept: { readonly mtimeMs: number; readonly size: number } | null = null;

  /** Opens the database file, which must exist. */
  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'r+');
    this.identity = fstatSync(this.#fd);
  }

  /** Opens log and wal-index, which exist once a connection has read from the database. */
  openLog(): { readonly walFd: number; readonly index: WalIndex } {
    const index = openSync(`${this.#path}-shm`, 'r+');
    const wal = openSync(`${this.#path}-wal`, 'r');
    this.#log = { wal, index };
    return { walFd: wal, index: new WalIndex(index, this.#path) };
  }

  /** Throws a `StateError` unless the database and its wal-index are still those that were opened, and as they were kept. Cheap. */
  assertSame(): void {
    const now = statSync(this.#path, { throwIfNoEntry: false });
    if (now?.ino !== this.identity.ino || now.dev !== this.identity.dev) {
      throw new StateError(
        `${this.#path}: the service deleted or replaced its database file; it must keep the one that it is given`,
      );
    }
    if (this.#kept !== null && (now.mtimeMs !== this.#kept.mtimeMs || now.size !== this.#kept.size))
      this.refuseWritten();
    if (this.#log !== null && fstatSync(this.#log.index).nlink === 0) this.#logGone('-shm');
  }

  /** The same for the log. */
  assertLog(): void {
    if (this.#log !== null && fstatSync(this.#log.wal).nlink === 0) this.#logGone('-wal');
  }

  /** What the file says about itself. Throws a `StateError` unless it is a database in WAL mode. */
  header(): FileHeader {
    const bytes = Buffer.alloc(FILE_HEADER_BYTES);
    const count = readSync(this.#fd, bytes, 0, FILE_HEADER_BYTES, 0);
    const header = parseFileHeader(bytes.subarray(0, count));
    if (header === null) throw new StateError(`${this.#path}: the service left no SQLite database there`);
    if (header.wal) return header;
    throw new StateError(
      `${this.#path}: not in WAL mode; the service must leave PRAGMA journal_mode=WAL as it is, and not switch it back`,
    );
  }

  /** From now on `assertSame` also throws when the file was written to since, if `isStill`: if SQLite does not write to it. */
  keep(isStill: boolean): void {
    this.#kept = isStill ? fstatSync(this.#fd) : null;
  }

  /**
   * Also one that was written to until now counts as kept, if its length is the same: start scripts `touch` their database. Returns
   * whether it was; that its content is the same, too, is the caller's to see.
   */
  forgiveTouch(): boolean {
    if (this.#kept === null) return false;
    const { mtimeMs, size } = this.#kept;
    this.#kept = { size, mtimeMs: fstatSync(this.#fd).mtimeMs };
    return this.#kept.mtimeMs !== mtimeMs;
  }

  /** Throws a `StateError`. */
  refuseWritten(): never {
    throw new StateError(
      `${this.#path}: the database file was written to by other means than SQLite, such as a copy over it`,
    );
  }

  /** The length of the database file in bytes. */
  length(): number {
    return fstatSync(this.#fd).size;
  }

  setLength(bytes: number): void {
    ftruncateSync(this.#fd, bytes);
  }

  /** Fills `target` with a page of its size. */
  readPage(page: number, target: Uint8Array): void {
    const size = target.length;
    if (readSync(this.#fd, target, 0, size, (page - 1) * size) !== size) {
      throw new StateError(`${this.#path}: the database file was cut off before page ${page}`);
    }
  }

  writePage(page: number, image: Uint8Array): void {
    this.writePages(page, image, image.length);
  }

  /** Pages from `first` on, one after the other in `images`. */
  writePages(first: number, images: Uint8Array, pageSize: number): void {
    writePages(this.#fd, first, images, pageSize);
  }

  close(): void {
    closeSync(this.#fd);
    if (this.#log === null) return;
    closeSync(this.#log.index);
    closeSync(this.#log.wal);
  }

  #logGone(suffix: string): never {
    throw new StateError(`${this.#path}${suffix}: deleted or replaced while the database is in use`);
  }
}

/** Puts an empty database in WAL mode at `path`, in place of what may be there. */
export function createDatabase(path: string): DatabaseFiles {
  createFile(path);
  const database = new DatabaseSync(path);
  const mode = database.prepare('PRAGMA journal_mode=WAL').get()?.['journal_mode'];
  database.close();
  if (mode !== 'wal') throw new StateError(`${path}: WAL mode does not work in this file system`);
  return new DatabaseFiles(path);
}

/** Puts an empty file at `path`, in place of a database that may be there. */
export function createFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  for (const suffix of FILE_SUFFIXES) rmSync(`${path}${suffix}`, { force: true });
  closeSync(openSync(path, 'wx', 0o600));
}

/** Gives the schema of a database that is not in use a number that no schema made from it has without that. */
export function renumberSchema(path: string): void {
  using database = new DatabaseSync(path, { defensive: false });
  const number = Number(database.prepare('PRAGMA schema_version').get()?.['schema_version']);
  // As of one that only the service's SQLite can parse.
  database.exec(`PRAGMA writable_schema=ON; PRAGMA schema_version=${number ^ FAR}`);
}
