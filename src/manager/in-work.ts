/**
 * The bytes behind the digests that the core knows: entries in work, the votes cast on them, the clients that wait for them.
 *
 * W1. All of an entry is let go of at its `release`, and never before.
 * W2. A client is told a verdict once.
 */
import { assert, type Outcome, type ReplicaId, type Vote } from '../core/index.ts';
import type { Store } from '../ordering/store.ts';
import { Ballots, digestOf } from './ballots.ts';

/** Bytes of unanswered votes of one replica, above which it is not heard; as many are kept of all answered ones. */
const BALLOT_BYTES_MAX = 256 * 1024 ** 2;

/** What a client is told: the encoded reply, or why there is none. */
export type Verdict =
  | { readonly type: 'reply'; readonly bytes: Buffer; readonly timeMs: number }
  /** `hint`: what more can be told; may be empty. */
  | (Extract<Outcome, { type: 'skipped' }> & { readonly hint: string })
  | Extract<Outcome, { type: 'key-reused' }>
  | { readonly type: 'forgotten' };

export type Client = (verdict: Verdict) => void;

interface Entry {
  /** As it was ordered. */
  readonly bytes: Buffer;
  /** Null: nobody waits for it here, or who did was told. */
  client: Client | null;
  /** The agreed time that it is executed with; null: it is not executed yet. */
  timeMs: number | null;
}

export class InWork {
  readonly #store: Store;
  readonly ballots: Ballots;
  readonly #entries = new Map<number, Entry>();

  /** `answered`, `onFull`: see `Ballots`. */
  constructor(store: Store, answered: number, onFull: (replica: string, full: boolean) => void) {
    this.#store = store;
    this.ballots = new Ballots(BALLOT_BYTES_MAX, onFull, answered);
  }

  take(index: number, bytes: Buffer, client: Client | null): void {
    this.#entries.set(index, { bytes, client, timeMs: null });
  }

  /** One that is in work, as it was ordered; it is executed with this agreed time. */
  execute(index: number, timeMs: number): Buffer {
    const entry = this.#entries.get(index);
    assert(entry !== undefined, 'an entry that is not released is at hand');
    entry.timeMs = timeMs;
    return entry.bytes;
  }

  /** Null: it is not in work. */
  entry(index: number): Buffer | null {
    return this.#entries.get(index)?.bytes ?? null;
  }

  cast(replica: ReplicaId, index: number, reply: Buffer, update: Buffer): Vote {
    // Only of entries in work are bytes kept; the core knows whether this one was to be answered at all.
    if (this.#entries.has(index)) return this.ballots.cast(replica, index, reply, update);
    return { reply: digestOf(reply), update: digestOf(update), updateBytes: update.length };
  }

  /** Entries are answered in order. `hint`: what the client of a skipped one is told of it. */
  answer(index: number, outcome: Outcome, hint: string): void {
    this.#tell(index, outcome, hint);
    this.ballots.answered(index);
  }

  #tell(index: number, outcome: Outcome, hint: string): void {
    const entry = this.#entries.get(index);
    if (entry === undefined || entry.client === null) return;
    const { client } = entry;
    entry.client = null;
    if (outcome.type === 'unknown') return client({ type: 'forgotten' });
    if (outcome.type === 'skipped') return client({ ...outcome, hint });
    if (outcome.type === 'key-reused') return client(outcome);
    // One that is answered from the log was not executed: its reply is dated as it is given.
    const timeMs = entry.timeMs ?? Date.now();
    const bytes = outcome.digest === null ? null : this.ballots.reply(outcome.of, outcome.digest);
    if (bytes !== null) return client({ type: 'reply', bytes, timeMs });
    const read = (kept: Buffer | null): void =>
      client(kept === null ? { type: 'forgotten' } : { type: 'reply', bytes: kept, timeMs });
    // The manager ends with its store, and then all clients are cut off.
    void this.#store.reply(outcome.of).then(read, () => {});
  }

  release(index: number): void {
    this.#entries.delete(index);
    this.ballots.release(index);
  }
}
