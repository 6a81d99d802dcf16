/**
 * Idempotency keys: which entry first carried a key. Part of the ordered state: every manager has the same table.
 *
 * K1. Of all entries with one key, only the first is executed. Where it was skipped, the next one is the first again; but what
 *     ended all that executed it (poison) is not tried again.
 * K2. At most `limit` keys are kept; the oldest is forgotten first.
 */
import type { Key, SkipReason } from './entry.ts';
import type { Index } from './ids.ts';

export type KeyUse =
  | { readonly type: 'first'; readonly forgotten: Index | null }
  /** `skipped`: why entry `of` had no effect; null when it had one, or may have. */
  | { readonly type: 'again'; readonly of: Index; readonly skipped: SkipReason | null }
  | { readonly type: 'reused' };

/** The entry whose key need not be kept after `index` used one: the oldest, or its own if it was not the first; null for none. */
export function notKept(use: KeyUse, index: Index): Index | null {
  return use.type === 'first' ? use.forgotten : index;
}

interface First {
  readonly fingerprint: string;
  readonly index: Index;
  skipped: SkipReason | null;
}

export class KeyTable {
  readonly #first = new Map<string, First>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  use(key: Key, index: Index): KeyUse {
    const known = this.#first.get(key.key);
    if (known !== undefined) {
      if (known.fingerprint !== key.fingerprint) return { type: 'reused' };
      return { type: 'again', of: known.index, skipped: known.skipped };
    }
    this.#first.set(key.key, { fingerprint: key.fingerprint, index, skipped: null });
    return { type: 'first', forgotten: this.#evict() };
  }

  /** An entry was skipped; true when its key is forgotten for that. */
  skip(index: Index, reason: SkipReason): boolean {
    for (const [key, first] of this.#first) {
      if (first.index !== index) continue;
      if (reason === 'poison') first.skipped = reason;
      else this.#first.delete(key);
      return reason !== 'poison';
    }
    return false;
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
