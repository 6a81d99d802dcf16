/**
 * The window of the order that is still in work: from what is released to what was ordered last.
 *
 * O1. Entries come one by one, without a gap.
 * O2. Entries are decided in order: nothing is decided past an undecided entry.
 * O3. Agreed time never goes back.
 */
import type { Entry, Key } from './entry.ts';
import { assert, index as toIndex, type Index } from './ids.ts';
import { KeyTable, type KeyUse } from './keys.ts';
import type { Slot } from './slot.ts';

export class Order {
  readonly #slots = new Map<Index, Slot>();
  readonly #keys = new KeyTable();
  #head = toIndex(-1);
  #decided = toIndex(-1);
  #released = toIndex(-1);
  #time = 0;
  #tick = 0;

  get head(): Index {
    return this.#head;
  }

  get decided(): Index {
    return this.#decided;
  }

  get time(): number {
    return this.#time;
  }

  get tick(): number {
    return this.#tick;
  }

  /** Continues an order that was truncated before `first` and decided up to `decided`. */
  recover(first: Index, decided: Index, time: number, tick: number): void {
    this.#head = toIndex(first - 1);
    this.#decided = decided;
    this.#released = decided;
    this.#time = time;
    this.#tick = tick;
  }

  remember(key: Key, at: Index): void {
    this.#keys.use(key, at);
  }

  append(index: Index, entry: Entry, now: number): Slot {
    assert(index === this.#head + 1, `O1: entry ${index} after ${this.#head}`);
    this.#head = index;
    this.#time = Math.max(this.#time, entry.time);
    const use: KeyUse | null =
      entry.type === 'request' && entry.key !== null ? this.#keys.use(entry.key, index) : null;
    const slot: Slot = {
      index,
      entry,
      time: this.#time,
      tickFrom: this.#tick,
      use,
      orderedAt: now,
      votes: new Map(),
      firstVoteAt: 0,
      crashes: 0,
      skipped: null,
      decision: null,
    };
    if (entry.type === 'tick') this.#tick = this.#time;
    if (index > this.#decided) this.#slots.set(index, slot);
    return slot;
  }

  slot(index: Index): Slot | undefined {
    return this.#slots.get(index);
  }

  /** The first entry that is not decided. */
  get next(): Slot | undefined {
    return this.#slots.get(toIndex(this.#decided + 1));
  }

  /** All entries that are ordered and not decided. */
  *undecided(): Iterable<Slot> {
    for (let at = this.#decided + 1; at <= this.#head; at++) {
      const slot = this.#slots.get(toIndex(at));
      if (slot !== undefined) yield slot;
    }
  }

  decide(slot: Slot): void {
    assert(slot.index === this.#decided + 1, `O2: ${slot.index} decided after ${this.#decided}`);
    this.#decided = slot.index;
  }

  /** Lets go of what is at or before `through`; returns what was let go. */
  release(through: Index): Index[] {
    const gone: Index[] = [];
    while (this.#released < through) {
      this.#released = toIndex(this.#released + 1);
      if (this.#slots.delete(this.#released)) gone.push(this.#released);
    }
    return gone;
  }
}
