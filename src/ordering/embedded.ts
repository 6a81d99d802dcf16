/** Ordering on one host: the manager's own store is the order. */
import type { Orderer } from './orderer.ts';
import type { Store } from './store.ts';

export class EmbeddedOrderer<Tag> implements Orderer<Tag> {
  readonly #store: Store;
  #next: number;
  onOrdered: Orderer<Tag>['onOrdered'] = () => {};
  onDurable: Orderer<Tag>['onDurable'] = () => {};

  /** `next`: the index of the next entry to be appended. */
  constructor(store: Store, next: number) {
    this.#store = store;
    this.#next = next;
    let durable = next - 1;
    store.onDurable = (index) => {
      if (index <= durable) return;
      durable = index;
      this.onDurable(index);
    };
  }

  append(entry: Buffer, tag: Tag | null): void {
    const index = this.#next++;
    this.#store.writeEntry(index, entry);
    this.onOrdered(index, entry, tag);
  }
}
