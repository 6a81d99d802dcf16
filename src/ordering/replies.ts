/**
 * The replies of requests with a key, in the store's database.
 *
 * T4. When they take too much, the oldest are let go of, but never the newest. Their keys stay: what was executed once is
 *     not executed again.
 */
import type { DatabaseSync } from 'node:sqlite';

export class Replies {
  readonly #write;
  readonly #letGo;
  readonly #remove;
  /** Bytes by index, in the order decided. */
  readonly #sizes = new Map<number, number>();
  readonly #bytesMax: number;
  #bytes = 0;

  /** `bytesMax`: of all kept replies together. */
  constructor(db: DatabaseSync, bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#write = db.prepare('update replies set bytes = ? where idx = ?');
    this.#letGo = db.prepare('update replies set bytes = null where idx = ?');
    this.#remove = db.prepare('delete from replies where idx = ?');
    const kept = 'select idx, length(bytes) as size from replies where bytes is not null order by idx';
    for (const row of db.prepare(kept).iterate()) this.#count(Number(row['idx']), Number(row['size']));
  }

  keep(index: number, bytes: Uint8Array): void {
    this.#write.run(bytes, index);
    this.#discount(index);
    this.#count(index, bytes.length);
    for (const oldest of this.#sizes.keys()) {
      if (this.#bytes <= this.#bytesMax || oldest === index) return;
      this.#letGo.run(oldest);
      this.#discount(oldest);
    }
  }

  /** With its key. */
  forget(index: number): void {
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
