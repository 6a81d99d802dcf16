/** The randomness of entries. */
import { randomFillSync } from 'node:crypto';
import { SEED_BYTES } from '../wire/entry.ts';

const SEEDS_AT_ONCE = 128;

/** Fresh seeds, drawn many at a time. */
export class Seeds {
  readonly #pool = Buffer.alloc(SEED_BYTES * SEEDS_AT_ONCE);
  #at = this.#pool.length;

  next(): Buffer {
    if (this.#at === this.#pool.length) {
      randomFillSync(this.#pool);
      this.#at = 0;
    }
    this.#at += SEED_BYTES;
    return this.#pool.subarray(this.#at - SEED_BYTES, this.#at);
  }
}
