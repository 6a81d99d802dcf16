/**
 * Test support: what survives when everything is killed. A log of writes, of which a prefix is durable.
 */
import type { Entry, Key, SkipReason } from '../entry.ts';
import { index as toIndex, type Index } from '../ids.ts';
import type { Kind, Update } from './service.ts';

export interface Stored {
  readonly entry: Entry;
  readonly kind: Kind;
}

export type Write =
  | { readonly type: 'entry'; readonly index: number; readonly stored: Stored }
  | { readonly type: 'record'; readonly index: number; readonly update: Update | null }
  | { readonly type: 'checkpoint'; readonly index: number; readonly state: string }
  | {
      readonly type: 'truncate-order';
      readonly through: number;
      readonly time: number;
      readonly tick: number;
    }
  | { readonly type: 'truncate-updates'; readonly through: number }
  | { readonly type: 'forget-key'; readonly index: number; readonly at: number }
  | { readonly type: 'skipped'; readonly index: number; readonly reason: SkipReason }
  | { readonly type: 'next-replica'; readonly number: number };

export class Disk {
  readonly entries: Map<number, Stored> = new Map();
  readonly updates: Map<number, Update> = new Map();
  readonly keys: Map<number, Key> = new Map();
  /** Keys that gave way to an entry, by that entry. */
  readonly #given: Map<number, number> = new Map();
  readonly skips: Map<number, SkipReason> = new Map();
  readonly log: Write[] = [];
  checkpoint: { readonly index: number; readonly state: string } = { index: -1, state: '' };
  decided = -1;
  first = 0;
  time = 0;
  tick = 0;
  nextReplica = 0;
  durable = 0;
  /** The last entry of the order. */
  last = -1;

  write(write: Write): void {
    this.log.push(write);
    switch (write.type) {
      case 'entry': {
        const { entry } = write.stored;
        this.entries.set(write.index, write.stored);
        this.last = write.index;
        if (entry.type === 'request' && entry.key !== null) this.keys.set(write.index, entry.key);
        return;
      }
      case 'record':
        if (write.update !== null) this.updates.set(write.index, write.update);
        this.decided = write.index;
        return;
      case 'checkpoint':
        this.checkpoint = write;
        return;
      case 'truncate-order':
        for (const at of this.entries.keys()) if (at > 0 && at <= write.through) this.entries.delete(at);
        for (const [at, index] of this.#given) if (at <= write.through) this.#forget(index, at);
        this.first = write.through + 1;
        this.time = write.time;
        this.tick = write.tick;
        return;
      case 'truncate-updates':
        for (const at of this.updates.keys()) if (at <= write.through) this.updates.delete(at);
        return;
      case 'forget-key':
        if (write.index === write.at) this.#forget(write.index, write.at);
        else this.#given.set(write.at, write.index);
        return;
      case 'skipped':
        if (this.keys.has(write.index)) this.skips.set(write.index, write.reason);
        return;
      case 'next-replica':
        this.nextReplica = write.number;
    }
  }

  #forget(index: number, at: number): void {
    this.keys.delete(index);
    this.skips.delete(index);
    this.#given.delete(at);
  }

  /** The keys as the entry `first` finds them, oldest first. */
  keysBefore(first: number): (Key & { readonly index: Index })[] {
    const before = [...this.keys].filter(([at]) => at < first);
    return before.map(([at, { key, fingerprint }]) => ({ key, fingerprint, index: toIndex(at) }));
  }

  flush(): void {
    this.durable = this.log.length;
  }

  /** The disk as it is found after a crash; `torn` more writes than those known to be durable made it. */
  recovered(torn: number): Disk {
    const disk = new Disk();
    for (const write of this.log.slice(0, this.durable + torn)) disk.write(write);
    disk.flush();
    return disk;
  }

  /** All updates `from` to `through`, both included. */
  between(from: number, through: number): Update[] {
    return [...this.updates].filter(([at]) => at >= from && at <= through).map(([, update]) => update);
  }
}
