/**
 * The update log: decided updates, in memory for the replicas that are behind, on disk for those to come.
 *
 * L1. On disk are all updates after `trimmed`: what a replica may still ask for. In memory are the newest of them,
 *     whoever may ask for more: what is being filled may take hours for it.
 * L2. What is read from disk is there until it was read, and never in memory as a whole.
 */
import type { Store } from '../ordering/store.ts';
import { RECORD } from '../ordering/store-protocol.ts';
import { applyFrames } from '../wire/channel.ts';
import { Holds } from './holds.ts';

/** What is sent to a replica without waiting for it to read; a fraction of what may wait for it (`Link`). */
const AT_ONCE_BYTES_MAX = 64 * 1024 ** 2;
/** Of the newest updates, which may be sent at once. */
const KEPT_BYTES_MAX = AT_ONCE_BYTES_MAX + 8 * 1024 ** 2;
/** What an update takes in memory beside its bytes: most are small. */
const BESIDE_BYTES = 256;

export class UpdateLog {
  readonly #store: Store;
  readonly #recent = new Map<number, Buffer>();
  #recentBytes = 0;
  #last: number;
  /** In memory is all that came after this entry. */
  #forgotten: number;
  #trimmed: number;
  #toTruncate = -1;
  #truncated = -1;
  readonly #holds = new Holds(() => this.#truncate());

  /** `trimmed`: what is recorded up to here is on disk only. */
  constructor(store: Store, trimmed: number) {
    this.#store = store;
    this.#last = trimmed;
    this.#forgotten = trimmed;
    this.#trimmed = trimmed;
  }

  /** The last entry whose effect is recorded. */
  get last(): number {
    return this.#last;
  }

  /** `update` is empty for an entry that changed nothing. */
  record(index: number, update: Buffer): void {
    this.#last = index;
    if (update.length > 0) {
      // A copy: the update is a small part of a large chunk read from a channel.
      const kept = Buffer.from(update);
      this.#recent.set(index, kept);
      this.#recentBytes += kept.length + BESIDE_BYTES;
      this.#store.write(RECORD.update, index, kept);
      while (this.#recentBytes > KEPT_BYTES_MAX) this.#forgetNext();
    }
    this.#store.writeDecided(index);
  }

  /** No replica here asks for updates up to here again. */
  trim(through: number): void {
    this.#trimmed = Math.max(this.#trimmed, through);
    this.#truncate();
    while (this.#forgotten < through) this.#forgetNext();
  }

  /** From memory. */
  #forgetNext(): void {
    this.#forgotten++;
    const update = this.#recent.get(this.#forgotten);
    if (update === undefined) return;
    this.#recent.delete(this.#forgotten);
    this.#recentBytes -= update.length + BESIDE_BYTES;
  }

  /** Apply frames of all updates `from` to `through`, both included; null where memory has not all, or they are too much at once. */
  inMemory(from: number, through: number): Buffer[] | null {
    if (from <= this.#forgotten) return null;
    const frames: Buffer[] = [];
    let bytes = 0;
    for (const [index, update] of this.#recent) {
      if (index > through) break;
      if (index < from) continue;
      bytes += update.length;
      if (bytes > AT_ONCE_BYTES_MAX) return null;
      frames.push(...applyFrames(update));
    }
    return frames;
  }

  /** A few updates at a time. They stay from the call on, until all are read or whoever began to read ends. */
  onDisk(from: number, through: number): AsyncIterable<Buffer[]> {
    return this.#read(from, through, this.hold());
  }

  async *#read(from: number, through: number, hold: Disposable): AsyncGenerator<Buffer[]> {
    using _ = hold;
    yield* this.#store.updates(from, through);
  }

  /** Whether on disk is all that came after this entry, which was the last one at some time of this run. */
  leadFrom(index: number): boolean {
    return index >= this.#truncated;
  }

  /** Until what it returns is disposed of, all stays on disk. */
  hold(): Disposable {
    return this.#holds.take();
  }

  /** Who is filled from now on needs no updates up to here. */
  truncate(through: number): void {
    this.#toTruncate = through;
    this.#truncate();
  }

  /** What was filled from an older state may be behind that still: it asks for what it lacks, and for more than memory gives. */
  #truncate(): void {
    const through = Math.min(this.#toTruncate, this.#trimmed);
    if (this.#holds.any || through <= this.#truncated) return;
    this.#store.write(RECORD.truncateUpdates, through);
    this.#truncated = through;
  }
}
