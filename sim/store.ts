/**
 * What a manager keeps on its host's disk: the state as a checkpoint, and the updates after it. What is written is there
 * at once, and survives a crash only once it was flushed.
 */
import type { Update } from '../src/core/testing/service.ts';
import { promise } from './violation.ts';

export interface Recorded {
  readonly reply: string;
  readonly update: Update | null;
}

interface Content {
  decided: number;
  checkpoint: { readonly index: number; readonly state: string };
  readonly records: Map<number, Recorded>;
  /** Up to here updates are gone. */
  truncated: number;
}

function copy({ decided, checkpoint, records, truncated }: Content): Content {
  return { decided, checkpoint, records: new Map(records), truncated };
}

export class Store {
  #now: Content = { decided: -1, checkpoint: { index: -1, state: '' }, records: new Map(), truncated: -1 };
  #durable: Content = copy(this.#now);
  /** What is not on disk yet, in order. */
  #pending: ((content: Content) => void)[] = [];
  /** No replica here asks for updates up to here again, but who is filled from an older state. */
  trimmed = -1;
  #toTruncate = -1;
  /** How often the manager started; durable before it does anything. */
  lives = 0;
  full = false;

  get decided(): number {
    return this.#now.decided;
  }

  get durablyDecided(): number {
    return this.#durable.decided;
  }

  get durableCheckpoint(): number {
    return this.#durable.checkpoint.index;
  }

  get checkpoint(): Content['checkpoint'] {
    return this.#now.checkpoint;
  }

  recordOf(index: number): Recorded | undefined {
    return this.#now.records.get(index);
  }

  #write(change: (content: Content) => void): void {
    change(this.#now);
    this.#pending.push(change);
  }

  record(index: number, recorded: Recorded): void {
    this.#write((content) => {
      content.records.set(index, recorded);
      content.decided = index;
    });
  }

  keepCheckpoint(index: number, state: string): void {
    this.#write((content) => {
      if (index > content.checkpoint.index) content.checkpoint = { index, state };
      if (content.decided < index) content.decided = index;
    });
  }

  trim(through: number): void {
    this.trimmed = Math.max(this.trimmed, through);
    this.#truncate();
  }

  /** Who is filled from now on needs no updates up to here. */
  truncateUpdates(through: number): void {
    this.#toTruncate = through;
    this.#truncate();
  }

  #truncate(): void {
    const through = Math.min(this.#toTruncate, this.trimmed);
    if (through <= this.#now.truncated) return;
    this.#write((content) => {
      content.truncated = through;
      for (const at of content.records.keys()) if (at <= through) content.records.delete(at);
    });
  }

  /** Done once everything written so far is durable. */
  afterFlush(run: () => void): void {
    this.#pending.push(run);
  }

  /** Makes durable what was written; false while the disk is full. */
  flush(): boolean {
    if (this.full) return false;
    for (const change of this.#pending) change(this.#durable);
    this.#pending = [];
    return true;
  }

  crash(): void {
    this.#pending = [];
    this.#now = copy(this.#durable);
    this.#toTruncate = -1;
    // What was decided is on disk only.
    this.trimmed = this.decided;
  }

  /** Updates `from` to `through`, both included. */
  updates(from: number, through: number): Update[] {
    const { truncated } = this.#now;
    promise(from > truncated, 'P4', () => `updates from ${from} are asked for, and gone up to ${truncated}`);
    const found: Update[] = [];
    for (let at = from; at <= through; at++) {
      const update = this.#now.records.get(at)?.update ?? null;
      if (update !== null) found.push(update);
    }
    return found;
  }

  /** The state after an entry that is decided. */
  state(through: number): string {
    for (let at = through; at > this.#now.checkpoint.index; at--) {
      const update = this.#now.records.get(at)?.update ?? null;
      if (update !== null) return update.to;
    }
    return this.#now.checkpoint.state;
  }
}
