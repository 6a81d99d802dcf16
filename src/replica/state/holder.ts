/**
 * The agent's own connections to one database, and the three things that they are for: keeping everyone from moving
 * or resetting the write-ahead log, emptying it between entries, and replacing the file under the service.
 *
 * H1. From `hold` on, a read transaction is open. Begun on a log that is empty or complete in the file, it reads the file
 *     only, and no connection can write log frames into the file; begun otherwise, frames up to it may be written there,
 *     but the log cannot be reset.
 * H2. `backfill` has no gap: SQLite's writer lock is held by the second connection while the read transaction is renewed.
 * H3. From `lock` on the log is empty and the writer lock held; the read transaction is renewed before that is released.
 *     Who reads the file alone, because there was no log, keeps one from being emptied only if it has frames: hence `addFrame`.
 * H4. The process that uses this must not be the service's: POSIX locks belong to a process. For the same reason no
 *     other descriptor of these files may be closed in it while the connections are open.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { patiently } from './patiently.ts';
import { StateError } from './state.ts';

const SQLITE_BUSY = 5;
/** A service that closes the last of its connections has the database to itself until the log is empty. */
const OPEN_TIMEOUT_MS = 5000;

export class Holder {
  readonly #path: string;
  readonly #reader: DatabaseSync;
  readonly #writer: DatabaseSync;
  readonly #touch: StatementSync;

  /** Opens both connections and begins to hold. Throws a `StateError` when another process keeps the database to itself. */
  constructor(path: string) {
    this.#path = path;
    this.#reader = new DatabaseSync(path, { defensive: false, timeout: OPEN_TIMEOUT_MS });
    this.#writer = new DatabaseSync(path, { defensive: false });
    try {
      configure(this.#reader);
      this.#touch = this.#reader.prepare('PRAGMA user_version');
      this.#hold();
      // From now on nobody can have the database to himself.
      this.#reader.exec('PRAGMA busy_timeout=0');
      configure(this.#writer);
    } catch (error) {
      this.close();
      if (!isBusy(error))
        throw new StateError(`${path}: cannot be opened: ${String(error)}`, { cause: error });
      throw new StateError(
        `${path}: the service locks its database exclusively; it must not set PRAGMA locking_mode=EXCLUSIVE`,
        { cause: error },
      );
    }
  }

  /**
   * Moves the log into the database file as far as the service's open statements allow. Returns whether all of it was
   * moved; false also when the service is writing, or `unchanged`, asked under the writer lock, says no.
   */
  backfill(unchanged: () => boolean): boolean {
    if (!attempt(() => this.#writer.exec('BEGIN IMMEDIATE'))) return false;
    try {
      if (!unchanged()) return false;
      this.#reader.exec('COMMIT');
      const done = this.#checkpoint('PASSIVE');
      this.#hold();
      return done;
    } finally {
      this.#writer.exec('COMMIT');
    }
  }

  /** Writes a frame that changes nothing. To be called before `lock`; throws what that throws when the service keeps writing. */
  addFrame(): void {
    if (!patiently(() => attempt(() => this.#writer.exec('BEGIN IMMEDIATE')))) throw this.#inTheWay();
    const version = this.#writer.prepare('PRAGMA user_version').get()?.['user_version'];
    this.#writer.exec(`PRAGMA user_version=${String(version)}; COMMIT`);
  }

  /**
   * Empties the log into the database file, which may be written until what it returns is disposed of; `isEmpty`, asked under
   * the writer lock, says whether the log still is. Throws a `StateError` when the service holds the log with an unfinished
   * statement, or keeps writing.
   */
  lock(isEmpty: () => boolean): Disposable {
    this.#reader.exec('COMMIT');
    if (!patiently(() => this.#emptyAndLock(isEmpty))) {
      this.#hold();
      throw this.#inTheWay();
    }
    const release = (): void => {
      try {
        this.#hold();
      } finally {
        this.#writer.exec('COMMIT');
      }
    };
    return { [Symbol.dispose]: release };
  }

  close(): void {
    this.#reader.close();
    this.#writer.close();
  }

  #inTheWay(): StateError {
    return new StateError(
      `${this.#path}: the service keeps its state from being replaced, by an unfinished statement or by writing`,
    );
  }

  #hold(): void {
    this.#reader.exec('BEGIN');
    this.#touch.get();
  }

  #checkpoint(mode: 'PASSIVE' | 'TRUNCATE'): boolean {
    const row = this.#reader.prepare(`PRAGMA wal_checkpoint(${mode})`).get();
    return row?.['busy'] === 0 && row['log'] === row['checkpointed'];
  }

  #emptyAndLock(isEmpty: () => boolean): boolean {
    if (!this.#checkpoint('TRUNCATE') || !attempt(() => this.#writer.exec('BEGIN IMMEDIATE'))) return false;
    if (isEmpty()) return true;
    this.#writer.exec('COMMIT');
    return false;
  }
}

/** `writable_schema` lets a connection work on a schema that only the service's SQLite can parse. */
function configure(database: DatabaseSync): void {
  database.exec('PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0; PRAGMA writable_schema=ON');
}

/** False when another connection is in the way. */
function attempt(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY;
}
