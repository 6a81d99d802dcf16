/**
 * Which requests carry a key that was used before: worked out from the order, and from which of its commands were told to be the skip
 * of an entry.
 */
import type { Key, SkipReason } from '../src/core/entry.ts';
import { index as toIndex, type Index } from '../src/core/ids.ts';

export interface Use {
  /** The entry that first carried the key: this one, or an earlier one. */
  readonly first: number;
  /** By this fingerprint it is the same request. */
  readonly same: boolean;
}

interface Skip {
  readonly index: Index;
  readonly reason: SkipReason;
}

export class KeyBook {
  readonly #limit: number;
  /** By index; null where there is no key. */
  readonly #keys: (Key | null)[] = [];
  readonly #uses: (Use | null)[] = [];
  /** The entry whose key gave way to this one, or was forgotten for being skipped by it. */
  readonly #gaveWay = new Map<number, number>();
  /** By the command that did it. */
  readonly #skips = new Map<number, Skip>();
  /** What is remembered, oldest first. */
  readonly #known: (Key & { readonly index: Index })[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  ordered(key: Key | null): void {
    const at = this.#keys.push(key) - 1;
    this.#uses.push(key === null ? null : this.#use(key, at));
    const skip = this.#skips.get(at);
    const skipped = this.#known.findIndex(({ index }) => index === skip?.index);
    if (skip === undefined || skipped < 0 || skip.reason === 'poison') return;
    this.#known.splice(skipped, 1);
    this.#gaveWay.set(at, skip.index);
  }

  /** Some manager says that the command `at` is the skip of this entry. */
  skipped(at: number, skip: Skip): void {
    if (this.#skips.has(at)) return;
    this.#skips.set(at, skip);
    this.#again(this.#keys.length);
  }

  /** Why an entry was skipped. */
  reason(index: number): SkipReason | null {
    for (const skip of this.#skips.values()) if (skip.index === index) return skip.reason;
    return null;
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
    for (const at of this.#skips.keys()) if (at > last) this.#skips.delete(at);
    this.#again(last + 1);
  }

  /** Works out anew what so many entries lead to. */
  #again(count: number): void {
    const kept = this.#keys.slice(0, count);
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
    for (const [at, skip] of this.#skips) book.#skips.set(at, skip);
    for (const key of this.#keys.slice(0, first)) book.ordered(key);
    return book.#known;
  }

  /** Poison that was skipped before the entry `first`; or all that was skipped anywhere. */
  skips(first: number | null): readonly Skip[] {
    return [...this.#skips].flatMap(([at, skip]) =>
      first === null || (at < first && skip.reason === 'poison') ? [skip] : [],
    );
  }
}
