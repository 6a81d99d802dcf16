/**
 * The full bytes behind the votes of undecided entries. Equal bytes are kept, and digested, once.
 *
 * The core sees digests only; the bytes stay here until it releases the entry, and who cast what when, as evidence.
 *
 * B1. What one replica makes the manager keep, bytes of its own which no other replica sent before it, is bounded: above the
 *     bound it is not to be heard until some are let go of. That is not a fault: it may be another one that is slow. The slowest
 *     that is sound has nothing that is undecided, so there is always one that is heard.
 * B2. Of each replica its last vote for an entry is known: one that was put back to a verified state casts another.
 */
import { hash } from 'node:crypto';
import { digest as toDigest, type Digest, type Vote } from '../core/index.ts';

const NOTHING = toDigest('');
const NO_BYTES = Buffer.alloc(0);

export function digestOf(bytes: Uint8Array): Digest {
  return bytes.length === 0 ? NOTHING : toDigest(hash('sha256', bytes, 'base64'));
}

interface Kept {
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly replica: string;
}

export interface CastVote {
  readonly replica: string;
  readonly vote: Vote;
  /** When it came, milliseconds since the epoch. */
  readonly atMs: number;
}

interface Ballot {
  readonly votes: CastVote[];
  readonly replies: Kept[];
  readonly updates: Kept[];
}

export class Ballots {
  readonly #ballots = new Map<number, Ballot>();
  readonly #bytesOf = new Map<string, number>();
  readonly #bytesMax: number;
  readonly #onFull: (replica: string, full: boolean) => void;

  /** `bytesMax`: what one replica may have here; `onFull`: it has more now, or no longer. */
  constructor(bytesMax: number, onFull: (replica: string, full: boolean) => void) {
    this.#bytesMax = bytesMax;
    this.#onFull = onFull;
  }

  cast(replica: string, index: number, reply: Buffer, update: Buffer): Vote {
    let ballot = this.#ballots.get(index);
    if (ballot === undefined) {
      ballot = { votes: [], replies: [], updates: [] };
      this.#ballots.set(index, ballot);
    }
    const vote = {
      reply: this.#keep(ballot.replies, replica, reply),
      update: this.#keep(ballot.updates, replica, update),
      updateBytes: update.length,
    };
    const cast = { replica, vote, atMs: Date.now() };
    const earlier = ballot.votes.findIndex((known) => known.replica === replica);
    if (earlier === -1) ballot.votes.push(cast);
    else ballot.votes[earlier] = cast;
    return vote;
  }

  #keep(kept: Kept[], replica: string, bytes: Buffer): Digest {
    if (bytes.length === 0) return NOTHING;
    // Comparing is several times cheaper than digesting.
    for (const known of kept) if (known.bytes.equals(bytes)) return known.digest;
    const digest = digestOf(bytes);
    kept.push({ digest, bytes, replica });
    this.#count(replica, bytes.length);
    return digest;
  }

  #count(replica: string, bytes: number): void {
    const before = this.#bytesOf.get(replica) ?? 0;
    const after = before + bytes;
    if (after > 0) this.#bytesOf.set(replica, after);
    else this.#bytesOf.delete(replica);
    const full = after > this.#bytesMax;
    if (full !== before > this.#bytesMax) this.#onFull(replica, full);
  }

  /** What was cast for an entry that is not released, in the order in which it came first. */
  votes(index: number): readonly CastVote[] {
    return this.#ballots.get(index)?.votes ?? [];
  }

  /** Null when nobody sent it. */
  reply(index: number, digest: Digest): Buffer | null {
    return find(this.#ballots.get(index)?.replies, digest);
  }

  update(index: number, digest: Digest): Buffer | null {
    return find(this.#ballots.get(index)?.updates, digest);
  }

  release(index: number): void {
    const ballot = this.#ballots.get(index);
    if (ballot === undefined) return;
    this.#ballots.delete(index);
    for (const list of [ballot.replies, ballot.updates]) {
      for (const { replica, bytes } of list) this.#count(replica, -bytes.length);
    }
  }
}

function find(kept: readonly Kept[] | undefined, digest: Digest): Buffer | null {
  if (digest === NOTHING) return NO_BYTES;
  return kept?.find((known) => known.digest === digest)?.bytes ?? null;
}
