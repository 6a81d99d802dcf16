/**
 * Idempotency keys: which entry first carried a key. Part of the ordered state: every manager has the same table.
 *
 * K1. Of all entries with one key, only the first is executed.
 * K2. At most `limit` keys are kept; the oldest is forgotten first.
 */
import type { Key } from './entry.ts';
import type { Index } from './ids.ts';

export type KeyUse =
  | { readonly type: 'first'; readonly forgotten: Index | null }
  | { readonly type: 'again'; readonly of: Index }
  | { readonly type: 'reused' };

/** The entry whose key need not be kept after `index` used one: the oldest, or its own if it was not the first; null for none. */
export function notKept(use: KeyUse, index: Index): Index | null {
  return use.type === 'first' ? use.forgotten : index;
}

export class KeyTable {
  readonly #first = new Map<string, { fingerprint: string; index: Index }>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  use(key: Key, index: Index): KeyUse {
    const known = this.#first.get(key.key);
    if (known !== undefined) {
      return known.fingerprint === key.fingerprint ? { type: 'again', of: known.index } : { type: 'reused' };
    }
    this.#first.set(key.key, { fingerprint: key.fingerprint, index });
    return { type: 'first', forgotten: this.#evict() };
  }

  #evict(): Index | null {
    if (this.#first.size <= this.#limit) return null;
    for (const [key, { index }] of this.#first) {
      this.#first.delete(key);
      return index;
    }
    return null;
  }
}
