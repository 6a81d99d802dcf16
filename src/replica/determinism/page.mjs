/**
 * The clock page (`clock.ts`) as seen from JavaScript, which cannot map it and must read it: about a microsecond.
 *
 * E1. Never stale: while a request is being answered the page cannot change and is not read again; at all other
 *     times (start, tick, raw sockets, work after the answer) every look at it reads it. Services that do not speak
 *     HTTP are therefore right, too, only a little slower.
 * E2. `entry` changes exactly when the page names another entry, or the same one again. What is derived from the seed starts
 *     anew with it.
 */
import { openSync, readSync, writeSync } from 'node:fs';
import process from 'node:process';
import { threadId } from 'node:worker_threads';

const ENTRY_BYTES = 72;
/** Where the counter of the libc layer stands, which changes within an entry. */
const DRAWN = { from: 16, to: 24 };
/** Where the page says whether a request is being answered, which changes within an entry. */
const ASKED_AT = 88;
/** A byte for each process and thread that answers requests; which one is seen by nobody. */
const BUSY = { from: 89, count: 4007, yes: Buffer.of(1), no: Buffer.of(0) };
/** So that threads of processes with ids close to each other have bytes of their own. */
const THREAD_STEP = 101;
const NS_PER_MS = 1_000_000n;

export class Page {
  /** Changes with every entry that is executed; only good for comparison. */
  entry = 0;
  /** The agreed wall clock, and that of the previous tick: milliseconds since the epoch. */
  timeMs = 0;
  tickFromMs = 0;
  /** Index of the entry; not for the service, it only keeps names apart. */
  index = 0n;
  #fd;
  #bytes = Buffer.alloc(ENTRY_BYTES);
  #next = Buffer.alloc(ENTRY_BYTES);
  #asked = Buffer.alloc(1);
  #isFrozen;

  /**
   * @param {string} path
   * @param {() => boolean} isFrozen whether the page cannot change at this moment
   */
  constructor(path, isFrozen) {
    this.#fd = openSync(path, 'r+');
    this.#isFrozen = isFrozen;
    this.read();
  }

  /** 32 bytes, valid until the next entry. */
  get seed() {
    return this.#bytes.subarray(32, 64);
  }

  /** The page, read again if it may have changed. */
  current() {
    return this.#isFrozen() ? this : this.read();
  }

  /** Whether a request is being answered at this moment, by whichever process or thread. */
  get isAsked() {
    readSync(this.#fd, this.#asked, 0, 1, ASKED_AT);
    return this.#asked[0] !== 0;
  }

  /** Tells the agent whether this thread still does what belongs to its reply. */
  setBusy(isBusy) {
    const at = BUSY.from + ((process.pid + threadId * THREAD_STEP) % BUSY.count);
    writeSync(this.#fd, isBusy ? BUSY.yes : BUSY.no, 0, 1, at);
  }

  read() {
    readSync(this.#fd, this.#next, 0, ENTRY_BYTES, 0);
    this.#next.fill(0, DRAWN.from, DRAWN.to);
    if (this.entry > 0 && this.#next.equals(this.#bytes)) return this;
    [this.#bytes, this.#next] = [this.#next, this.#bytes];
    this.entry += 1;
    this.index = this.#bytes.readBigUInt64LE(0);
    this.timeMs = Number(this.#bytes.readBigUInt64LE(8) / NS_PER_MS);
    this.tickFromMs = Number(this.#bytes.readBigUInt64LE(24) / NS_PER_MS);
    return this;
  }
}
