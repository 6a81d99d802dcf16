/**
 * The full bytes behind the votes of undecided entries. Equal bytes are kept, and digested, once.
 *
 * The core sees digests only; the bytes stay here until it releases the entry, and who cast what when, as evidence.
 *
 * B1. What one replica makes the manager keep is bounded: bytes of its own, which no other replica sent before it.
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

  /** `bytesMax`: what one replica may have here. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The vote; null when the replica has too much here already. */
  cast(replica: string, index: number, reply: Buffer, update: Buffer): Vote | null {
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
    if ((this.#bytesOf.get(replica) ?? 0) > this.#bytesMax) return null;
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
    this.#bytesOf.set(replica, (this.#bytesOf.get(replica) ?? 0) + bytes.length);
    return digest;
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
      for (const { replica, bytes } of list) {
        const left = (this.#bytesOf.get(replica) ?? 0) - bytes.length;
        if (left > 0) this.#bytesOf.set(replica, left);
        else this.#bytesOf.delete(replica);
      }
    }
  }
}

function find(kept: readonly Kept[] | undefined, digest: Digest): Buffer | null {
  if (digest === NOTHING) return NO_BYTES;
  return kept?.find((known) => known.digest === digest)?.bytes ?? null;
}
