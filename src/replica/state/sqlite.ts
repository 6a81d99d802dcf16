/**
 * The state of a service that keeps it in one or several SQLite files, with any binding, in another process.
 *
 * An update is empty, or: a version byte, the number of files, then for each file a byte that says whether it changed,
 * followed by its patch (`patch.ts`). Files are known by their place in the list, not by their path.
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
import { ByteReader, ByteWriter } from './bytes.ts';
import { Database } from './database.ts';
import { type FilePatch, readPatch } from './patch.ts';
import { type Intake, type State, StateError } from './state.ts';

const VERSION = 1;
const DIGEST_TAG = 0xff;
const NOTHING_CHANGED = new Uint8Array(0);
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

  constructor(paths: readonly string[]) {
    assert(new Set(paths).size === paths.length, 'a database file is named twice');
    this.#paths = paths;
  }

  prepare(founds: boolean): Intake {
    assert(this.#databases === null, 'prepared twice');
    return new ArchiveReader(this.#paths.length, (files) => this.#create(files, founds));
  }

  *#create(files: readonly ArchivedFile[], founds: boolean): Filling {
    const databases: Database[] = [];
    this.#databases = databases;
    for (const [at, path] of this.#paths.entries())
      databases.push(yield* Database.create(path, files[at] ?? NO_PAGES, founds));
  }

  open(): void {
    for (const database of this.#prepared()) database.open();
  }

  capture(): Uint8Array {
    const writer = this.#writer;
    writer.truncate(0);
    writer.byte(VERSION);
    writer.varint(this.#paths.length);
    let changed = false;
    for (const database of this.#prepared()) {
      const flag = writer.length;
      writer.byte(1);
      if (database.capture(writer)) {
        changed = true;
        continue;
      }
      writer.truncate(flag);
      writer.byte(0);
    }
    return changed ? writer.result() : NOTHING_CHANGED;
  }

  apply(update: Uint8Array): void {
    if (update.length === 0) return;
    const reader = new ByteReader(update);
    const version = reader.byte('the version');
    if (version !== VERSION) throw new StateError(`malformed update: version ${version}`);
    const count = reader.varint('the number of files', 0xffff);
    if (count !== this.#paths.length) throw new StateError(`malformed update: ${count} files`);
    const patches = this.#prepared().map((database): [Database, FilePatch | null] => {
      const flag = reader.varint('a flag', 1);
      return [database, flag === 1 ? readPatch(reader) : null];
    });
    reader.end();
    for (const [database, patch] of patches) if (patch !== null) database.apply(patch);
    const pending = this.#prepared().reduce((sum, { pages }) => sum + pages.pending.size * pages.pageSize, 0);
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
