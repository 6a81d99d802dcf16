/**
 * Refresh: when passive replicas are brought up to date, and how far that is.
 *
 * A refresh goes up to a mark, an entry whose decided reply is the digest of the state. One passive replica after
 * another applies the updates up to it and reports its own digest. When much was written since the last
 * checkpoint, it also exports its state; f+1 equal exports are a checkpoint.
 */
import type { Digest, Index, ReplicaId } from './ids.ts';

export interface RefreshLimits {
  /** Updates in the log. */
  readonly entries: number;
  /** Bytes of updates in the log. */
  readonly bytes: number;
  /** Age of the oldest update in the log. */
  readonly ageMs: number;
  /** Entries of any kind since the last mark: bounds the order. */
  readonly ordered: number;
  /** Bytes of updates since the last checkpoint. */
  readonly checkpointBytes: number;
}

interface Round {
  readonly mark: Index;
  readonly digest: Digest;
  readonly exporting: boolean;
  readonly exports: Map<ReplicaId, Digest>;
}

export interface RoundEnd {
  readonly mark: Index;
  readonly checkpoint: Digest | null;
  readonly disputed: ReplicaId | null;
}

export class Refresh {
  readonly #limits: RefreshLimits;
  #entries = 0;
  #bytes = 0;
  #oldestAt = 0;
  #ordered = 0;
  #sinceCheckpoint = 0;
  #wanted = false;
  #round: Round | null = null;

  constructor(limits: RefreshLimits) {
    this.#limits = limits;
  }

  get round(): Round | null {
    return this.#round;
  }

  get entries(): number {
    return this.#entries;
  }

  get bytes(): number {
    return this.#bytes;
  }

  decided(updateBytes: number, now: number): void {
    this.#ordered++;
    if (updateBytes === 0) return;
    if (this.#entries === 0) this.#oldestAt = now;
    this.#entries++;
    this.#bytes += updateBytes;
    this.#sinceCheckpoint += updateBytes;
  }

  /** Whether a mark should be ordered now; true once until that mark is decided. */
  due(now: number): boolean {
    if (this.#wanted || this.#round !== null) return false;
    const { entries, bytes, ageMs, ordered } = this.#limits;
    const aged = this.#entries > 0 && now - this.#oldestAt > ageMs;
    if (this.#entries < entries && this.#bytes < bytes && this.#ordered < ordered && !aged) return false;
    this.#wanted = true;
    return true;
  }

  /** The mark that was asked for was skipped. */
  cancel(): void {
    this.#wanted = false;
  }

  begin(mark: Index, digest: Digest): void {
    this.#wanted = false;
    this.#entries = 0;
    this.#bytes = 0;
    this.#ordered = 0;
    const exporting = this.#sinceCheckpoint >= this.#limits.checkpointBytes;
    this.#round = { mark, digest, exporting, exports: new Map() };
  }

  /** What a replica exported at `mark`; without meaning once that round is over. */
  exported(replica: ReplicaId, mark: Index, digest: Digest): void {
    if (this.#round?.mark === mark) this.#round.exports.set(replica, digest);
  }

  /**
   * Ends the round; `checkpoint` is what f+1 exports agree on. When f+1 came and do not agree, one of them is wrong,
   * and nobody can tell which: `disputed` is the one of the oldest replica. Its successor will be younger than the
   * others, so that the wrong one is found in at most f+1 rounds.
   */
  end(quorum: number): RoundEnd | null {
    const round = this.#round;
    if (round === null) return null;
    this.#round = null;
    const counts = new Map<Digest, number>();
    for (const digest of round.exports.values()) counts.set(digest, (counts.get(digest) ?? 0) + 1);
    for (const [digest, count] of counts) {
      if (count < quorum) continue;
      this.#sinceCheckpoint = 0;
      return { mark: round.mark, checkpoint: digest, disputed: null };
    }
    const [oldest] = round.exports.keys();
    const disputed = round.exports.size >= quorum ? (oldest ?? null) : null;
    return { mark: round.mark, checkpoint: null, disputed };
  }
}
