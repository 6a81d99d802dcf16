/**
 * The state of a service that keeps it in one or several SQLite files, with any binding, in another process.
 *
 * The databases must stay in WAL mode, and the active replicas must use the same SQLite: two versions may lay out the same
 * rows differently. A service that calls `wal_checkpoint` with a mode other than PASSIVE is told that the log is busy,
 * after its own busy timeout.
 */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import {
  archiveBytes,
  type ArchivedFile,
  ArchiveReader,
  type Filling,
  NO_PAGES,
  writeArchive,
} from './archive.ts';
import { ByteWriter } from './bytes.ts';
import { Database } from './database.ts';
import { Reads } from './reads.ts';
import { type Intake, type State, StateError } from './state.ts';
import { readUpdate, writeUpdate } from './update.ts';

const DIGEST_TAG = 0xff;
/** Pages of updates that are kept in memory; one more update may exceed it. */
const PENDING_BYTES_MAX = 8 * 1024 ** 2;

/**
 * The state kept in these SQLite database files, absolute paths; the order counts, and there may be none. `prepare` replaces the files if they
 * exist. Importing no bytes gives the state before everything: the update of the first entry applies to it.
 */
export function createSqliteState(files: readonly string[]): State {
  return new SqliteState(files);
}

class SqliteState implements State {
  readonly #paths: readonly string[];
  readonly #writer: ByteWriter = new ByteWriter();
  #databases: readonly Database[] | null = null;
  #reads: Reads | null = null;

  constructor(paths: readonly string[]) {
    assert(new Set(paths).size === paths.length, 'a database file is named twice');
    this.#paths = paths;
  }

  prepare(): Intake {
    assert(this.#databases === null, 'prepared twice');
    return new ArchiveReader(this.#paths.length, (files) => this.#create(files));
  }

  *#create(files: readonly ArchivedFile[]): Filling {
    const databases: Database[] = [];
    this.#databases = databases;
    for (const [at, path] of this.#paths.entries())
      databases.push(yield* Database.create(path, files[at] ?? NO_PAGES));
  }

  leave(founds: boolean, notes: string): void {
    const databases = this.#prepared();
    for (const database of databases) database.leave(founds);
    this.#reads = new Reads(
      notes,
      databases.map(({ file }) => file),
    );
  }

  open(): void {
    for (const database of this.#prepared()) database.open();
  }

  started(): void {
    const read = this.#reads?.pages() ?? [];
    for (const [at, database] of this.#prepared().entries()) database.started(read[at] ?? []);
  }

  isOutdated(): boolean {
    return this.#prepared().some((database) => database.isOutdated);
  }

  capture(): Uint8Array {
    const writer = this.#writer;
    return writeUpdate(writer, this.#prepared(), (database) => database.capture(writer));
  }

  apply(update: Uint8Array): void {
    if (update.length === 0) return;
    const patches = readUpdate(update);
    const databases = this.#prepared();
    if (patches.length !== databases.length)
      throw new StateError(`malformed update: ${patches.length} files`);
    for (const [at, patch] of patches.entries()) if (patch !== null) databases[at]?.apply(patch);
    const pending = databases.reduce((sum, { pages }) => sum + pages.pending.size * pages.pageSize, 0);
    if (pending >= PENDING_BYTES_MAX) this.flush();
  }

  flush(): void {
    for (const database of this.#prepared()) database.flush();
  }

  digest(): Uint8Array {
    const roots = this.#prepared().map((database) => database.pages.digest());
    return new Uint8Array(
      hash('sha256', Buffer.concat([Buffer.of(DIGEST_TAG, roots.length), ...roots]), 'buffer'),
    );
  }

  exportBytes(): number {
    return archiveBytes(this.#prepared().map((database) => database.pages));
  }

  export(chunkBytes: number): Iterable<Uint8Array> {
    return writeArchive(
      this.#prepared().map((database) => database.pages),
      chunkBytes,
    );
  }

  import(): Intake {
    return new ArchiveReader(this.#paths.length, (files) => this.#load(files));
  }

  *#load(files: readonly ArchivedFile[]): Filling {
    for (const [at, database] of this.#prepared().entries()) yield* database.load(files[at] ?? NO_PAGES);
  }

  close(): void {
    for (const database of this.#databases ?? []) database.close();
    this.#databases = null;
  }

  #prepared(): readonly Database[] {
    assert(this.#databases !== null, 'not prepared, or closed');
    return this.#databases;
  }
}
