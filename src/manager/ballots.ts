/**
 * The full bytes behind the votes of entries in work. Equal bytes are kept, and digested, once.
 *
 * The core sees digests only. Bytes are needed until the entry is answered; from then on they, and who cast what when, are
 * evidence against who still has to vote, until the core releases the entry.
 *
 * B1. What one replica makes the manager keep for entries that are not answered, bytes of its own which no other replica sent
 *     before it, is bounded: above the bound it is not to be heard until some are answered. That is not a fault: it may be another
 *     one that is slow. The slowest that is sound has nothing that is undecided, so there is always one that is heard.
 * B2. Of each replica its last vote for an entry is known: one that was put back to a verified state casts another.
 * B3. What is kept of answered entries counts for nobody, for who does not vote on them holds up their release; it is bounded
 *     as a whole. The oldest are kept, since late votes come for these first. Of others the digests stay, by which a late vote is
 *     told from the answer; what it brings is kept until the next vote, and can be shown so long.
 */
import { hash } from 'node:crypto';
import { digest as toDigest, type Digest, type Vote } from '../core/index.ts';

const NOTHING = toDigest('');
const NO_BYTES = Buffer.alloc(0);

export function digestOf(bytes: Uint8Array): Digest {
  return bytes.length === 0 ? NOTHING : toDigest(hash('sha256', bytes, 'base64'));
}

/** In place of a replica: that the entry is answered. */
const ANSWERED = '';

interface Kept {
  readonly digest: Digest;
  /** Null: let go of. */
  bytes: Buffer | null;
  /** For whom they count; null: for nobody. */
  owner: string | null;
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
  /** What the last vote brought for an answered entry, and there is no room for. */
  #passing: Kept[] = [];
  /** Everything up to here is answered. */
  #answered: number;

  /**
   * `bytesMax`: what one replica may have here, and what may be kept of all answered entries; `onFull`: a replica has more now, or no
   * longer; `answered`: the last entry that was answered before this run.
   */
  constructor(bytesMax: number, onFull: (replica: string, full: boolean) => void, answered = -1) {
    this.#bytesMax = bytesMax;
    this.#onFull = onFull;
    this.#answered = answered;
  }

  cast(replica: string, index: number, reply: Buffer, update: Buffer): Vote {
    for (const kept of this.#passing.splice(0)) this.#letGo(kept);
    let ballot = this.#ballots.get(index);
    if (ballot === undefined) {
      ballot = { votes: [], replies: [], updates: [] };
      this.#ballots.set(index, ballot);
    }
    const owner = index <= this.#answered ? ANSWERED : replica;
    const vote = {
      reply: this.#keep(ballot.replies, owner, reply),
      update: this.#keep(ballot.updates, owner, update),
      updateBytes: update.length,
    };
    const cast = { replica, vote, atMs: Date.now() };
    const earlier = ballot.votes.findIndex((known) => known.replica === replica);
    if (earlier === -1) ballot.votes.push(cast);
    else ballot.votes[earlier] = cast;
    return vote;
  }

  #keep(list: Kept[], owner: string, bytes: Buffer): Digest {
    if (bytes.length === 0) return NOTHING;
    // Comparing is several times cheaper than digesting.
    for (const known of list) if (known.bytes?.equals(bytes) === true) return known.digest;
    const digest = digestOf(bytes);
    if (list.some((known) => known.digest === digest)) return digest;
    const kept: Kept = { digest, bytes, owner: null };
    list.push(kept);
    if (owner !== ANSWERED || this.#hasRoom(bytes.length)) this.#charge(kept, owner);
    else this.#passing.push(kept);
    return digest;
  }

  /** Everything up to this entry is answered. */
  answered(through: number): void {
    while (this.#answered < through) {
      const ballot = this.#ballots.get(++this.#answered);
      if (ballot === undefined) continue;
      const all = [...ballot.replies, ...ballot.updates];
      let bytes = 0;
      for (const kept of all) bytes += kept.bytes?.length ?? 0;
      // Some of it alone would keep the frame in which all of it came.
      const fits = this.#hasRoom(bytes);
      for (const kept of all) {
        if (fits) this.#charge(kept, ANSWERED);
        else this.#letGo(kept);
      }
    }
  }

  /** For an answered entry. */
  #hasRoom(bytes: number): boolean {
    return (this.#bytesOf.get(ANSWERED) ?? 0) + bytes <= this.#bytesMax;
  }

  #letGo(kept: Kept): void {
    this.#charge(kept, null);
    kept.bytes = null;
  }

  #charge(kept: Kept, owner: string | null): void {
    const bytes = kept.bytes?.length ?? 0;
    if (kept.owner !== null) this.#count(kept.owner, -bytes);
    if (owner !== null) this.#count(owner, bytes);
    kept.owner = owner;
  }

  #count(owner: string, bytes: number): void {
    const before = this.#bytesOf.get(owner) ?? 0;
    const after = before + bytes;
    if (after > 0) this.#bytesOf.set(owner, after);
    else this.#bytesOf.delete(owner);
    const full = after > this.#bytesMax;
    if (full !== before > this.#bytesMax) this.#onFull(owner, full);
  }

  /** What was cast for an entry that is not released, in the order in which it came first. */
  votes(index: number): readonly CastVote[] {
    return this.#ballots.get(index)?.votes ?? [];
  }

  /** Null when nobody sent it, or it is let go of. */
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
    for (const kept of [...ballot.replies, ...ballot.updates]) this.#letGo(kept);
  }
}

function find(kept: readonly Kept[] | undefined, digest: Digest): Buffer | null {
  if (digest === NOTHING) return NO_BYTES;
  return kept?.find((known) => known.digest === digest)?.bytes ?? null;
}
