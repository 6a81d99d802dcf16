/**
 * The clock page: the one thing through which a service learns what time it is and which random numbers it gets.
 *
 * The replica agent writes it before every entry of the order; `preload.c` (libc) and `page.mjs` (Node) read it.
 * It is a file of one memory page, because the libc layer maps it: the clock then costs no system call.
 *
 * K1. A page is written by one `pwrite` and only between entries, so a reader that runs inside an entry sees one
 *     entry, never a mixture. What a service does between entries is not agreed upon, and nothing is promised to it.
 * K2. Time and seed are all that a service may learn, in PHP some microseconds from the index, too (`preload-clock.c`). Index and
 *     counters exist so that readers notice a new entry, and one that is executed again on an earlier state, and so that no two
 *     processes of a domain are given the same random bytes.
 * K3. One thing goes the other way: which threads of the service still do what belongs to a reply, which Node's layer says
 *     (`requests.mjs`), each in a byte of its own. It is not part of the entry, and only waited on. A new entry begins with none,
 *     so that one which ended meanwhile is not waited for again.
 * K4. A service is always *started* under the page of entry 0, also one that starts late: what it derives from the
 *     time of its start (`performance.timeOrigin`, the grids of its intervals) is then the same in every replica.
 * K5. Until a request has its reply the page says that it is being answered: a thread or process that works for it
 *     knows it from nowhere else.
 */
import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { SEED_BYTES } from '../../wire/entry.ts';

/** Size of the file in bytes: one page, written whole. All numbers are little endian. */
export const CLOCK_FILE_BYTES = 4096;
/**
 * Byte offsets. `turn` counts the entries executed here; `drawn`, `drawnSql` and `drawnSeeds` count the 64-byte random blocks that
 * libc callers, SQL and OpenSSL took in this entry; `asked` is the byte of K5, from `busy` to the end are those of K3.
 */
export const CLOCK_OFFSETS = {
  index: 0,
  time: 8,
  drawn: 16,
  tickFrom: 24,
  seed: 32,
  turn: 64,
  drawnSql: 72,
  drawnSeeds: 80,
  asked: 88,
  busy: 89,
} as const;

const NS_PER_MS = 1_000_000n;
const NOT_ASKED = Buffer.alloc(1);
const NOBODY_BUSY = Buffer.alloc(CLOCK_FILE_BYTES - CLOCK_OFFSETS.busy);

/** One entry of the order, as far as a service may see it. */
export interface ClockEntry {
  readonly index: number;
  /** The agreed wall clock: whole milliseconds since the epoch. */
  readonly timeMs: number;
  /** Agreed time of the previous tick command (of the entry's own time, if there was none). */
  readonly tickFromMs: number;
  /** `SEED_BYTES` bytes. */
  readonly seed: Uint8Array;
  /** Whether it is a request, which is being answered until `answered`. */
  readonly isRequest?: boolean;
}

/** The agent's end of the page. Creates the file, for its own user only; throws what `fs` throws. */
export class Clock {
  readonly #fd: number;
  readonly #page = Buffer.alloc(CLOCK_FILE_BYTES);
  readonly #busy = Buffer.alloc(NOBODY_BUSY.length);
  #turn = 0n;

  constructor(path: string) {
    this.#fd = openSync(path, 'w+', 0o600);
    ftruncateSync(this.#fd, CLOCK_FILE_BYTES);
  }

  /** Makes `entry` the current one. Nothing of the service may be running. */
  set(entry: ClockEntry): void {
    assert.equal(entry.seed.length, SEED_BYTES, 'a seed has 32 bytes');
    this.#page.writeBigUInt64LE(BigInt(entry.index), CLOCK_OFFSETS.index);
    this.#page.writeBigUInt64LE(BigInt(entry.timeMs) * NS_PER_MS, CLOCK_OFFSETS.time);
    this.#page.writeBigUInt64LE(0n, CLOCK_OFFSETS.drawn);
    this.#page.writeBigUInt64LE(BigInt(entry.tickFromMs) * NS_PER_MS, CLOCK_OFFSETS.tickFrom);
    this.#page.set(entry.seed, CLOCK_OFFSETS.seed);
    this.#page.writeBigUInt64LE(this.#turn++, CLOCK_OFFSETS.turn);
    this.#page[CLOCK_OFFSETS.asked] = entry.isRequest === true ? 1 : 0;
    const written = writeSync(this.#fd, this.#page, 0, CLOCK_FILE_BYTES, 0);
    assert.equal(written, CLOCK_FILE_BYTES, 'a page is written whole');
  }

  /** The request of the current entry has its reply. */
  answered(): void {
    writeSync(this.#fd, NOT_ASKED, 0, NOT_ASKED.length, CLOCK_OFFSETS.asked);
  }

  /** Whether the service says that it still does what belongs to its reply. */
  get isBusy(): boolean {
    readSync(this.#fd, this.#busy, 0, NOBODY_BUSY.length, CLOCK_OFFSETS.busy);
    return !this.#busy.equals(NOBODY_BUSY);
  }

  close(): void {
    closeSync(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
