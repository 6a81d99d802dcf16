/**
 * The update log: decided updates, in memory for the replicas that are behind, on disk for those to come.
 *
 * P1. In memory are all updates after `trimmed`: what a passive replica may still ask for.
 */
import type { Store } from '../ordering/store.ts';
import { RECORD } from '../ordering/store-protocol.ts';
import { applyFrames } from '../wire/channel.ts';

export class UpdateLog {
  readonly #store: Store;
  readonly #recent = new Map<number, Buffer>();
  #trimmed: number;

  /** `trimmed`: what is recorded up to here is on disk only. */
  constructor(store: Store, trimmed: number) {
    this.#store = store;
    this.#trimmed = trimmed;
  }

  /** `update` is empty for an entry that changed nothing. */
  record(index: number, update: Buffer): void {
    if (update.length > 0) {
      // A copy: the update is a small part of a large chunk read from a channel.
      const kept = Buffer.from(update);
      this.#recent.set(index, kept);
      this.#store.write(RECORD.update, index, kept);
    }
    this.#store.writeDecided(index);
  }

  trim(through: number): void {
    this.#trimmed = Math.max(this.#trimmed, through);
    for (const index of this.#recent.keys()) {
      if (index > through) return;
      this.#recent.delete(index);
    }
  }

  /** Apply frames of all updates `from` to `through`, both included, where memory has them; null where not. */
  inMemory(from: number, through: number): Buffer[] | null {
    if (from <= this.#trimmed) return null;
    const frames: Buffer[] = [];
    for (const [index, update] of this.#recent) {
      if (index > through) break;
      if (index >= from) frames.push(...applyFrames(update));
    }
    return frames;
  }

  async onDisk(from: number, through: number): Promise<Buffer[]> {
    const updates = await this.#store.updates(from, through);
    return updates.flatMap((update) => applyFrames(update));
  }
}
