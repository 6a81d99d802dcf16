/**
 * The replies of requests with a key, in the store's database.
 *
 * T4. When they take too much, the oldest are let go of, but never the newest. Their keys stay: what was executed once is
 *     not executed again.
 * T5. A key that gave way to an entry goes with the order up to that entry: what comes again after a crash finds the keys
 *     that it found before.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { SkipReason } from '../core/index.ts';
import { checkSum, sumOf } from './sums.ts';

/** Keys removed with one batch. */
const CUT_KEYS = 256;

export interface KeptKey {
  readonly index: number;
  readonly key: string;
  readonly fingerprint: string;
}

export interface KeptSkip {
  readonly index: number;
  readonly reason: SkipReason;
}

export class Replies {
  readonly #write;
  readonly #read;
  readonly #letGo;
  readonly #remove;
  readonly #forgetLater;
  readonly #due;
  readonly #done;
  readonly #keys;
  readonly #skips;
  /** Bytes by index, in the order decided. */
  readonly #sizes = new Map<number, number>();
  readonly #bytesMax: number;
  #bytes = 0;

  /** `bytesMax`: of all kept replies together. */
  constructor(db: DatabaseSync, bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#write = db.prepare('update replies set bytes = ?, sum = ? where idx = ?');
    this.#read = db.prepare(`select idx, bytes, sum from replies where idx = ? and typeof(bytes) = 'blob'`);
    this.#letGo = db.prepare('update replies set bytes = null where idx = ?');
    this.#remove = db.prepare('delete from replies where idx = ?');
    this.#forgetLater = db.prepare('insert or ignore into forgotten values (?, ?)');
    this.#due = db.prepare('select at, idx from forgotten where at <= ? limit ?');
    this.#done = db.prepare('delete from forgotten where at = ? and idx = ?');
    this.#keys = db.prepare(`select idx, key, fingerprint from replies
      where idx < ? and idx not in (select idx from forgotten where at < ?) order by idx`);
    this.#skips = db.prepare(`select idx, bytes, sum from replies where typeof(bytes) = 'text' order by idx`);
    const kept = `select idx, length(bytes) as size from replies where typeof(bytes) = 'blob' order by idx`;
    for (const row of db.prepare(kept).iterate()) this.#count(Number(row['idx']), Number(row['size']));
  }

  keep(index: number, bytes: Uint8Array): void {
    this.#write.run(bytes, sumOf(bytes), index);
    this.#discount(index);
    this.#count(index, bytes.length);
    for (const oldest of this.#sizes.keys()) {
      if (this.#bytes <= this.#bytesMax || oldest === index) return;
      this.#letGo.run(oldest);
      this.#discount(oldest);
    }
  }

  /** Null: it is let go of, or there never was one. Throws `MalformedError`. */
  read(index: number): Uint8Array | null {
    const row = this.#read.get(index);
    if (row === undefined) return null;
    checkSum('replies', row);
    return row['bytes'] as Uint8Array;
  }

  /** There is no reply, for this reason. */
  skip(index: number, reason: string): void {
    this.#write.run(reason, sumOf(reason), index);
  }

  skips(): KeptSkip[] {
    return this.#skips.all().map((row) => {
      checkSum('replies', row);
      return { index: Number(row['idx']), reason: row['bytes'] as SkipReason };
    });
  }

  /** With its key, once the order up to the entry `at` is not needed any more; at once if its key was never the first. */
  forget(index: number, at: number): void {
    if (index === at) this.#forget(index);
    else this.#forgetLater.run(at, index);
  }

  /** The order up to here is not needed any more. Removes a few at a time; `bytesMax`: of their replies, one more may exceed it. */
  cut(through: number, bytesMax: number): void {
    let bytes = 0;
    for (const row of this.#due.all(through, CUT_KEYS)) {
      if (bytes >= bytesMax) return;
      const { at, idx } = row as { at: number; idx: number };
      bytes += this.#sizes.get(idx) ?? 0;
      this.#forget(idx);
      this.#done.run(at, idx);
    }
  }

  /** The keys as the entry `first` finds them, oldest first. */
  keysBefore(first: number): KeptKey[] {
    return this.#keys.all(first, first).map((row) => ({
      index: Number(row['idx']),
      key: String(row['key']),
      fingerprint: String(row['fingerprint']),
    }));
  }

  #forget(index: number): void {
    this.#remove.run(index);
    this.#discount(index);
  }

  #count(index: number, size: number): void {
    this.#sizes.set(index, size);
    this.#bytes += size;
  }

  #discount(index: number): void {
    this.#bytes -= this.#sizes.get(index) ?? 0;
    this.#sizes.delete(index);
  }
}
