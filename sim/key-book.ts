/** Which requests carry a key that was used before: worked out from the order alone, with nothing of the core's. */
import type { Key } from '../src/core/entry.ts';
import { index as toIndex, type Index } from '../src/core/ids.ts';

export interface Use {
  /** The entry that first carried the key: this one, or an earlier one. */
  readonly first: number;
  /** By this fingerprint it is the same request. */
  readonly same: boolean;
}

export class KeyBook {
  readonly #limit: number;
  /** By index; null where there is no key. */
  readonly #keys: (Key | null)[] = [];
  readonly #uses: (Use | null)[] = [];
  /** The entry whose key gave way to this one. */
  readonly #gaveWay = new Map<number, number>();
  /** What is remembered, oldest first. */
  readonly #known: (Key & { readonly index: Index })[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  ordered(key: Key | null): void {
    const at = this.#keys.push(key) - 1;
    this.#uses.push(key === null ? null : this.#use(key, at));
  }

  #use(key: Key, at: number): Use {
    const known = this.#known.find((one) => one.key === key.key);
    if (known !== undefined) return { first: known.index, same: known.fingerprint === key.fingerprint };
    this.#known.push({ ...key, index: toIndex(at) });
    const oldest = this.#known.length > this.#limit ? this.#known.shift() : undefined;
    if (oldest !== undefined) this.#gaveWay.set(at, oldest.index);
    return { first: at, same: true };
  }

  /** The order lost what comes after `last`. */
  cut(last: number): void {
    const kept = this.#keys.slice(0, last + 1);
    this.#keys.length = this.#uses.length = this.#known.length = 0;
    this.#gaveWay.clear();
    for (const key of kept) this.ordered(key);
  }

  use(index: number): Use | null {
    return this.#uses[index] ?? null;
  }

  /** The entry whose key is forgotten at this one; its own, if that was used before. */
  forgottenAt(index: number): number | null {
    const use = this.use(index);
    return use !== null && use.first !== index ? index : (this.#gaveWay.get(index) ?? null);
  }

  /** The keys as the entry `first` finds them, oldest first. */
  before(first: number): readonly (Key & { readonly index: Index })[] {
    const book = new KeyBook(this.#limit);
    for (const key of this.#keys.slice(0, first)) book.ordered(key);
    return book.#known;
  }
}
