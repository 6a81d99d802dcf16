/**
 * The window of the order that is still in work: from what is released to what was ordered last.
 *
 * O1. Entries come one by one, without a gap.
 * O2. Entries are chosen and decided in order: nothing is decided past an undecided entry. Chosen: it is known what
 *     the decision is. Decided: its bytes are at hand, too.
 * O3. Agreed time never goes back.
 */
import type { Entry, Key, SkipReason } from './entry.ts';
import { assert, index as toIndex, type Index, type ReplicaId } from './ids.ts';
import { KeyTable, type KeyUse } from './keys.ts';
import type { Slot } from './slot.ts';

export class Order {
  readonly #slots = new Map<Index, Slot>();
  readonly #keys: KeyTable;
  #head = toIndex(-1);
  #chosen = toIndex(-1);
  #decided = toIndex(-1);
  #released = toIndex(-1);
  #voted = toIndex(-1);
  #time = 0;
  #tick = 0;

  constructor(keysMax: number) {
    this.#keys = new KeyTable(keysMax);
  }

  get head(): Index {
    return this.#head;
  }

  get decided(): Index {
    return this.#decided;
  }

  /** The last entry of which it is known how it is decided. */
  get chosen(): Index {
    return this.#chosen;
  }

  get released(): Index {
    return this.#released;
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
    this.#chosen = decided;
    this.#voted = decided;
    this.#released = decided;
    this.#time = time;
    this.#tick = tick;
  }

  remember(key: Key, at: Index): KeyUse {
    return this.#keys.use(key, at);
  }

  /** An entry has no effect: who asked again for it by its key is told so. True when the key is forgotten for that. */
  skip(index: Index, reason: SkipReason): boolean {
    for (const slot of this.#slots.values()) {
      if (slot.use?.type === 'again' && slot.use.of === index) slot.use = { ...slot.use, skipped: reason };
    }
    return this.#keys.skip(index, reason);
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
      epoch: toIndex(-1),
      firstVoteAt: 0,
      workMs: Infinity,
      crashes: 0,
      skipped: null,
      ordered: null,
      told: null,
      decision: null,
      before: toIndex(-1),
      atHand: [],
      fetch: null,
      unknown: false,
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

  /** The first entry of which it is not known how it is decided. */
  get unchosen(): Slot | undefined {
    return this.#slots.get(toIndex(this.#chosen + 1));
  }

  /** The entries after `after`, in order. */
  *after(after: Index): Iterable<Slot> {
    for (let at = after + 1; at <= this.#head; at++) {
      const slot = this.#slots.get(toIndex(at));
      if (slot !== undefined) yield slot;
    }
  }

  /** All entries that are ordered and not decided. */
  *undecided(): Iterable<Slot> {
    yield* this.after(this.#decided);
  }

  /** The last entry before the first unchosen one that replicas voted on. */
  get voted(): Index {
    return this.#voted;
  }

  choose(slot: Slot): void {
    assert(slot.index === this.#chosen + 1, `O2: ${slot.index} chosen after ${this.#chosen}`);
    slot.before = this.#voted;
    this.#chosen = slot.index;
    if (slot.decision !== null) this.#voted = slot.index;
  }

  /** What this replica voted on and is undecided, others decide. */
  forgetVotes(replica: ReplicaId): void {
    for (const slot of this.undecided()) slot.votes.delete(replica);
  }

  /** What is chosen and not decided is open again, whatever others said of it: they may be gone. */
  unchoose(): void {
    const first = this.next;
    if (first !== undefined && first.index <= this.#chosen) this.#voted = first.before;
    this.#chosen = this.#decided;
    for (const slot of this.undecided()) slot.told = slot.decision = null;
  }

  decide(slot: Slot): void {
    assert(slot.index === this.#decided + 1, `O2: ${slot.index} decided after ${this.#decided}`);
    assert(slot.index <= this.#chosen, `O2: ${slot.index} decided before it is chosen`);
    this.#decided = slot.index;
  }

  /** What was decided after `answered` may have been decided otherwise. */
  doubt(answered: Index): void {
    for (const slot of this.after(answered)) if (slot.index <= this.#decided) slot.unknown = true;
  }

  /** Everything up to `through` is decided, within a state that was fetched as a whole. */
  jump(through: Index): void {
    assert(through >= this.#decided && through <= this.#head, 'O2: decisions stay');
    for (const slot of this.undecided()) if (slot.index <= through) slot.unknown = slot.decision === null;
    this.#decided = through;
    if (this.#chosen < through) this.#voted = this.#chosen = through;
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
