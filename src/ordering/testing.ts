/** For tests of what happens when a store fails. */
import { encodeBare, SEED_BYTES } from '../wire/entry.ts';
import type { Store } from './store.ts';

/** Has its thread fail, as a full disk would: no index is written twice. */
export function spoil(store: Store): void {
  for (let i = 0; i < 2; i++) store.writeEntry(1, encodeBare('tick', 1, Buffer.alloc(SEED_BYTES)));
}
