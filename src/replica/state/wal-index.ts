/**
 * The header of SQLite's wal-index, the `-shm` file through which the connections to a database agree on how much of
 * its write-ahead log is committed. Read here without a lock, in one small read: what the agent asks after every
 * entry. Linux keeps reads and writes of a file coherent with its mappings, which this relies on.
 *
 * X1. A header is believed only when both copies agree and its checksum fits; a writer caught in between is waited for, also when
 *     it has lost the processor just then.
 * X2. `publish` is called only under SQLite's writer lock with an empty log. The new change number makes every connection
 *     drop its cache at its next statement, the page count replaces the one it would otherwise trust.
 */
import { readSync, writeSync } from 'node:fs';
import { patiently } from './patiently.ts';
import { StateError } from './state.ts';

/** In 32-bit words of the machine's byte order; the format is described in SQLite's `walformat.html`. */
const COPY_WORDS = 12;
const CHANGE = 2;
const MAX_FRAME = 4;
const PAGE_COUNT = 5;
const SALT = 8;
const CHECKSUM = 10;
const BACKFILLED = 24;
/** Offset in bytes of the 16-bit page size. */
const PAGE_SIZE_OFFSET = 14;
const HEADER_BYTES = 100;
/** One after the other, which is enough for a writer that goes on. */
const ATTEMPTS = 1000;

export interface WalIndexHeader {
  /** Counts commits, modulo 2^32. */
  readonly change: number;
  /** The last committed frame; 0 when the log is empty. */
  readonly maxFrame: number;
  /** Pages of the database after the last commit; 0 when not known from the log. */
  readonly pageCount: number;
  /** The two salts of this generation of the log, as they stand in each of its frames. */
  readonly salts: Buffer;
  /** Frames that are already in the database file, too. */
  readonly backfilled: number;
}

export class WalIndex {
  readonly #fd: number;
  readonly #path: string;
  readonly #words: Uint32Array<ArrayBuffer> = new Uint32Array(HEADER_BYTES / 4);
  readonly #bytes: Buffer = Buffer.from(this.#words.buffer);
  readonly #seen: Uint32Array<ArrayBuffer> = new Uint32Array(COPY_WORDS);

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  /** Whether anything was committed, or the log began anew, since the last `read`. About a microsecond. */
  changed(): boolean {
    this.#load();
    const now = this.#words;
    const seen = this.#seen;
    return (
      now[CHANGE] !== seen[CHANGE] ||
      now[MAX_FRAME] !== seen[MAX_FRAME] ||
      now[SALT] !== seen[SALT] ||
      now[SALT + 1] !== seen[SALT + 1]
    );
  }

  read(): WalIndexHeader {
    if (!patiently(() => this.#soonValid())) throw new StateError(`${this.#path}: the wal-index is damaged`);
    this.#seen.set(this.#words.subarray(0, COPY_WORDS));
    return {
      change: this.#word(CHANGE),
      maxFrame: this.#word(MAX_FRAME),
      pageCount: this.#word(PAGE_COUNT),
      salts: Buffer.from(this.#bytes.subarray(SALT * 4, SALT * 4 + 8)),
      backfilled: this.#word(BACKFILLED),
    };
  }

  /** Tells all connections that the database file was replaced by one of `pageCount` pages. See X2. */
  publish(pageCount: number, pageSize: number): void {
    this.read();
    const copy = this.#words.subarray(0, COPY_WORDS);
    copy[CHANGE] = this.#word(CHANGE) + 1;
    copy[PAGE_COUNT] = pageCount;
    new Uint16Array(this.#words.buffer)[PAGE_SIZE_OFFSET / 2] = (pageSize & 0xff00) | (pageSize >>> 16);
    copy.set(checksum(copy), CHECKSUM);
    // As SQLite does: the second copy first, for a reader takes the first one first.
    writeSync(this.#fd, copy, 0, COPY_WORDS * 4, COPY_WORDS * 4);
    writeSync(this.#fd, copy, 0, COPY_WORDS * 4, 0);
  }

  #load(): void {
    if (readSync(this.#fd, this.#bytes, 0, HEADER_BYTES, 0) !== HEADER_BYTES) {
      throw new StateError(`${this.#path}: the wal-index was cut off`);
    }
  }

  #soonValid(): boolean {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) if (this.#valid()) return true;
    return false;
  }

  #valid(): boolean {
    this.#load();
    const copies = this.#bytes.subarray(0, COPY_WORDS * 4);
    if (copies.compare(this.#bytes, COPY_WORDS * 4, COPY_WORDS * 8) !== 0) return false;
    const [first, second] = checksum(this.#words);
    return this.#word(CHECKSUM) === first && this.#word(CHECKSUM + 1) === second;
  }

  #word(at: number): number {
    return this.#words[at] ?? 0;
  }
}

/** SQLite's checksum over the words before it. */
function checksum(words: Uint32Array): [number, number] {
  let first = 0;
  let second = 0;
  for (let at = 0; at < CHECKSUM; at += 2) {
    first = (first + (words[at] ?? 0) + second) >>> 0;
    second = (second + (words[at + 1] ?? 0) + first) >>> 0;
  }
  return [first, second];
}
