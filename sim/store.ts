/**
 * What a manager keeps on its host's disk: the state as a checkpoint, and the updates after it. What is written is there
 * at once, and survives a crash only once it was flushed.
 */
import type { Update } from '../src/core/testing/service.ts';

export interface Recorded {
  readonly reply: string;
  readonly update: Update | null;
}

interface Content {
  decided: number;
  checkpoint: { readonly index: number; readonly state: string };
  readonly records: Map<number, Recorded>;
}

function copy({ decided, checkpoint, records }: Content): Content {
  return { decided, checkpoint, records: new Map(records) };
}

export class Store {
  #now: Content = { decided: -1, checkpoint: { index: -1, state: '' }, records: new Map() };
  #durable: Content = copy(this.#now);
  /** What is not on disk yet, in order. */
  #pending: ((content: Content) => void)[] = [];
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

  truncateUpdates(through: number): void {
    this.#write(({ records, checkpoint }) => {
      for (const at of records.keys()) if (at <= through && at <= checkpoint.index) records.delete(at);
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
  }

  /** Updates `from` to `through`, both included. */
  updates(from: number, through: number): Update[] {
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
