/**
 * The thread that owns the store's database: one transaction, and so one fsync, a batch.
 *
 * The database is locked for as long as the thread lives, which is what keeps a second manager out. A damaged
 * database is refused, never repaired by guessing (`sound.ts`).
 */
import { backup, DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { makePrivateFile } from '../data-folder.ts';
import { SteadyFile } from '../durable.ts';
import { isSystemError, messageOf } from '../errors.ts';
import { asBuffer, MalformedError } from '../wire/bytes.ts';
import { decodeEntry } from '../wire/entry.ts';
import { Replies } from './replies.ts';
import { checkSound } from './sound.ts';
import { addSums, checkSum, sumOf } from './sums.ts';
import {
  FORMAT,
  RECORD,
  type RecordKind,
  SCHEMA,
  type Recovery,
  type Refusal,
  type StoreAnswer,
  type StoreRecord,
  type StoreRequest,
  packBatch,
  unpackBatch,
} from './store-protocol.ts';
import { Truncation } from './truncation.ts';

/** The service whose data this is; written once. Null: whoever's it is. */
const { path, service } = workerData as { path: string; service: string | null };

function answer(message: StoreAnswer, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

/** Null: it is of another service or of a newer Spare, which was answered. */
function open(): DatabaseSync | null {
  makePrivateFile(path);
  const db = new DatabaseSync(path, { timeout: 0 });
  db.exec(
    'pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 0',
  );
  const format = Number(db.prepare('pragma user_version').get()?.['user_version']);
  if (format > FORMAT) {
    answer({ type: 'refused', code: 'newer', message: '' });
    return null;
  }
  // Else it is not written to: on a full disk it is read, and what cannot be written then says so.
  if (format < FORMAT) {
    db.exec(`begin immediate; ${SCHEMA}`);
    addSums(db);
    db.exec('commit');
  }
  if (service === null) return db;
  const known = db.prepare(`select value from facts where name = 'service'`).get()?.['value'];
  if (known !== undefined && known !== service) {
    answer({ type: 'refused', code: 'foreign', message: String(known) });
    return null;
  }
  db.prepare(`insert or ignore into facts values ('service', ?)`).run(service);
  return db;
}

/** SQLite's code for a statement that does not fit the tables: ours fit those that we make. */
const NO_SUCH_TABLE = 1;

/** Why it cannot be opened. What does not come from the system, or from SQLite's use of it, comes from what was read. */
function refusalOf(error: unknown): Refusal {
  if (isSystemError(error)) return 'failed';
  const { errcode = NO_SUCH_TABLE } = error as { errcode?: number };
  const primary = errcode % 256;
  if (primary === 5 || primary === 6) return 'busy';
  // Reading or writing failed, or there is no room.
  if (primary === 10 || primary === 13) return 'storage';
  return primary === NO_SUCH_TABLE || primary === 11 || primary === 26 ? 'damaged' : 'failed';
}

/** Pages copied at a time: batches are written in between. */
const COPY_PAGES = 64;
/** Of SQLite, if nobody says otherwise. */
const PAGE_BYTES = 4096;
/** Of a copy, written before the disk is waited for, and what is to become durable waits that long. */
const COPY_STRIDE_BYTES = 1024 ** 2;

/** Of updates that are read at a time, one more may exceed it: what is to become durable waits that long. */
const READ_BYTES = 1024 ** 2;
const READ_ROWS = 500;

/** Of all kept replies together. */
const REPLY_BYTES_MAX = 256 * 1024 ** 2;

/** Of rows that are removed with one batch; one more may exceed it. SQLite reads all pages of a long one to remove it. */
const CUT_BYTES = 4 * 1024 ** 2;

/** In SQLite's log, before they are moved to the database. */
const LOG_PAGES = 1000;

class StoreThread {
  readonly #db: DatabaseSync;
  readonly #fact;
  readonly #logged;
  readonly #between;
  readonly #entries: Truncation;
  readonly #updates: Truncation;
  readonly #replies: Replies;
  /** What came while a copy takes its first step. */
  #held: StoreRequest[] | null = null;
  readonly #carryOut: Record<RecordKind, (record: StoreRecord) => void>;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#entries = new Truncation(db, 'entries');
    this.#updates = new Truncation(db, 'updates');
    this.#fact = db.prepare('insert or replace into facts values (?, ?)');
    this.#logged = db.prepare('pragma wal_checkpoint(noop)');
    this.#between = db.prepare('select idx, bytes, sum from updates where idx between ? and ? order by idx');
    const entry = db.prepare('insert into entries values (?, ?, ?)');
    const update = db.prepare('insert or replace into updates values (?, ?, ?)');
    this.#replies = new Replies(db, REPLY_BYTES_MAX);
    const key = db.prepare('insert or ignore into replies (idx, key, fingerprint) values (?, ?, ?)');
    this.#carryOut = {
      [RECORD.entry]: ({ index, bytes }) => {
        entry.run(index, bytes, sumOf(bytes));
        const decoded = decodeEntry(asBuffer(bytes));
        if (decoded.key !== null) key.run(index, decoded.key.key, decoded.key.fingerprint);
      },
      [RECORD.update]: ({ index, bytes }) => update.run(index, bytes, sumOf(bytes)),
      [RECORD.reply]: ({ index, bytes }) => this.#replies.keep(index, bytes),
      [RECORD.decided]: ({ index }) => this.#fact.run('decided', String(index)),
      [RECORD.truncateOrder]: ({ index, bytes }) => {
        this.#entries.through = index;
        this.#fact.run('order', Buffer.from(bytes).toString());
      },
      [RECORD.truncateUpdates]: ({ index }) => {
        this.#updates.through = index;
      },
      [RECORD.forgetReply]: ({ index, bytes }) =>
        this.#replies.forget(index, Number(Buffer.from(bytes).toString())),
      [RECORD.skipped]: ({ index, bytes }) => this.#replies.skip(index, Buffer.from(bytes).toString()),
      [RECORD.checkpoint]: ({ bytes }) => this.#fact.run('checkpoint', Buffer.from(bytes).toString()),
      [RECORD.nextReplica]: ({ index }) => this.#fact.run('nextReplica', String(index)),
      [RECORD.base]: ({ bytes }) => this.#fact.run('base', Buffer.from(bytes).toString()),
    };
  }

  /** Lets go of some of what is not needed any more: of no less than came. */
  #truncate(cameBytes: number): void {
    const bytesMax = Math.max(CUT_BYTES, cameBytes);
    this.#entries.cut(bytesMax);
    this.#updates.cut(bytesMax);
    this.#replies.cut(this.#entries.through, bytesMax);
  }

  #read(name: string): string | null {
    const row = this.#db.prepare('select value from facts where name = ?').get(name);
    return row === undefined ? null : String(row['value']);
  }

  opened(): void {
    const order = JSON.parse(this.#read('order') ?? '{"first":0,"timeMs":0,"tickMs":0}') as {
      first: number;
      timeMs: number;
      tickMs: number;
    };
    const recovery: Recovery = {
      ...order,
      decided: Number(this.#read('decided') ?? -1),
      nextReplica: Number(this.#read('nextReplica') ?? 0),
      updateBytes: Number(this.#db.prepare('select total(length(bytes)) as n from updates').get()?.['n']),
      checkpoint: JSON.parse(this.#read('checkpoint') ?? 'null') as Recovery['checkpoint'],
      base: this.#read('base'),
    };
    const rows = this.#db
      .prepare('select idx, bytes, sum from entries where idx = 0 or idx >= ? order by idx')
      .all(order.first);
    for (const row of rows) checkSum('entries', row);
    const entries = rows.map((row) => ({ index: Number(row['idx']), bytes: row['bytes'] as Uint8Array }));
    const keys = this.#replies.keysBefore(order.first);
    checkSound(recovery, entries);
    answer({ type: 'opened', recovery, entries, keys, skips: this.#replies.skips() });
  }

  /**
   * Batches are written while it goes on, but not during its first step: Node takes it for a failure when that finds a
   * transaction under way, where later ones wait for its end.
   */
  #copy({ id, path }: Extract<StoreRequest, { type: 'copy' }>): void {
    const failed = (error: unknown): void => answer({ type: 'not-copied', id, message: messageOf(error) });
    let steady: SteadyFile;
    try {
      steady = new SteadyFile(path, COPY_STRIDE_BYTES);
    } catch (error) {
      // No failure of the store: it needs neither this file nor one more.
      return failed(error);
    }
    this.#held = [];
    const goOn = (): void => {
      const held = this.#held ?? [];
      this.#held = null;
      for (const request of held) this.receive(request);
    };
    const progress = (): void => {
      steady.wrote(COPY_PAGES * PAGE_BYTES);
      goOn();
    };
    void backup(this.#db, path, { rate: COPY_PAGES, progress })
      .finally(() => {
        // First: what a failing disk makes of the rest holds up nobody.
        goOn();
        steady[Symbol.dispose]();
      })
      .then(() => this.#found(id, [], -1), failed);
  }

  #updatesOf({ id, from, through }: Extract<StoreRequest, { type: 'updates' }>): void {
    const found: StoreRecord[] = [];
    let size = 0;
    for (const row of this.#between.iterate(from, through)) {
      checkSum('updates', row);
      const [index, bytes] = [Number(row['idx']), row['bytes'] as Uint8Array];
      found.push({ kind: RECORD.update, index, bytes });
      size += bytes.length;
      if (size >= READ_BYTES || found.length === READ_ROWS) return this.#found(id, found, index);
    }
    this.#found(id, found, through);
  }

  #found(id: number, found: readonly StoreRecord[], through: number): void {
    const rows = packBatch(found);
    answer({ type: 'rows', id, rows, through }, [rows]);
  }

  receive(request: StoreRequest): void {
    try {
      if (this.#held === null) this.#handle(request);
      else this.#held.push(request);
    } catch (error) {
      const code = error instanceof MalformedError ? 'damaged' : 'failed';
      answer({ type: 'failed', code, message: messageOf(error) });
      process.exit();
    }
  }

  /** Moves what SQLite has in its log to the database: not within a commit, as by itself, which clients would wait for. */
  #tidy(): void {
    try {
      const { log, checkpointed } = this.#logged.get() ?? {};
      if (Number(log) - Number(checkpointed) >= LOG_PAGES) this.#db.exec('pragma wal_checkpoint');
    } catch {
      // All is in the log, and stays there until this succeeds.
    }
  }

  #handle(request: StoreRequest): void {
    switch (request.type) {
      case 'batch':
        this.#db.exec('begin');
        for (const record of unpackBatch(request.batch)) this.#carryOut[record.kind](record);
        this.#truncate(request.batch.byteLength);
        this.#db.exec('commit');
        answer({ type: 'durable' });
        return this.#tidy();
      case 'updates':
        return this.#updatesOf(request);
      case 'reply': {
        const { id, index } = request;
        const bytes = this.#replies.read(index);
        return this.#found(id, bytes === null ? [] : [{ kind: RECORD.reply, index, bytes }], index);
      }
      case 'copy':
        return this.#copy(request);
      case 'close':
        this.#db.close();
        process.exit();
    }
  }
}

try {
  const db = open();
  if (db !== null) {
    const thread = new StoreThread(db);
    thread.opened();
    parentPort?.on('message', (request: StoreRequest) => thread.receive(request));
  }
} catch (error) {
  answer({ type: 'refused', code: refusalOf(error), message: messageOf(error) });
}
