/**
 * Refresh: when passive replicas are brought up to date, and how far that is.
 *
 * A refresh goes up to a mark, an entry whose decided reply is the digest of the state. One passive replica after
 * another applies the updates up to it and reports its own digest. When much was written since the last
 * checkpoint, it also exports its state; f+1 equal exports are a checkpoint. Much is at least as much as that one was
 * large: exporting a large state for a few updates would cost more than all else.
 */
import { index, type Digest, type Index, type ReplicaId } from './ids.ts';

export interface RefreshLimits {
  /** Updates in the log. */
  readonly entries: number;
  /** Bytes of updates in the log. */
  readonly bytes: number;
  /** Age of the oldest update in the log. */
  readonly ageMs: number;
  /** Entries of any kind since the last mark: bounds the order. */
  readonly ordered: number;
  /** Bytes of requests since the last mark: bounds the order, too. */
  readonly orderedBytes: number;
  /** Bytes of updates since the last checkpoint; its size, where that is more. */
  readonly checkpointBytes: number;
}

/** `here`: by a replica of this manager. */
type Exports = Map<ReplicaId, { readonly digest: Digest; readonly here: boolean }>;

interface Round {
  readonly mark: Index;
  readonly digest: Digest;
  readonly exporting: boolean;
  readonly exports: Exports;
}

export interface RoundEnd {
  readonly mark: Index;
  readonly checkpoint: Digest | null;
  /** A replica of this manager exported it. */
  readonly here: boolean;
  readonly disputed: ReplicaId | null;
}

export class Refresh {
  readonly #limits: RefreshLimits;
  /** Of the last checkpoint, or else of the state that replicas are filled from at first. */
  checkpointSize: number;
  #entries = 0;
  #bytes = 0;
  #oldestAt = 0;
  #ordered = 0;
  #orderedBytes = 0;
  #sinceCheckpoint: number;
  #wanted = false;
  #round: Round | null = null;
  /** Its own replicas are through; those of other managers may not be. */
  #collecting: Round | null = null;
  /** Exports of other managers for a mark that is not decided here yet. */
  #early: { readonly mark: Index; readonly exports: Exports } = { mark: index(-1), exports: new Map() };
  #lastMark = index(-1);

  /** `updateBytes`: of all updates that come on top of that. */
  constructor(limits: RefreshLimits, checkpointSize: number, updateBytes: number) {
    this.#limits = limits;
    this.checkpointSize = checkpointSize;
    this.#sinceCheckpoint = updateBytes;
  }

  get round(): Round | null {
    return this.#round;
  }

  get collecting(): boolean {
    return this.#collecting !== null;
  }

  get entries(): number {
    return this.#entries;
  }

  get bytes(): number {
    return this.#bytes;
  }

  decided(requestBytes: number, updateBytes: number, now: number): void {
    this.#ordered++;
    this.#orderedBytes += requestBytes;
    if (updateBytes === 0) return;
    if (this.#entries === 0) this.#oldestAt = now;
    this.#entries++;
    this.#bytes += updateBytes;
    this.#sinceCheckpoint += updateBytes;
  }

  /** Whether a mark should be ordered now; true once until that mark is decided. */
  due(now: number): boolean {
    if (this.#wanted || this.#round !== null) return false;
    const { entries, bytes, ageMs, ordered, orderedBytes } = this.#limits;
    const aged = this.#entries > 0 && now - this.#oldestAt > ageMs;
    const logged = this.#entries >= entries || this.#bytes >= bytes;
    const long = this.#ordered >= ordered || this.#orderedBytes >= orderedBytes;
    if (!aged && !logged && !long) return false;
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
    this.#orderedBytes = 0;
    const exporting = this.#sinceCheckpoint >= Math.max(this.#limits.checkpointBytes, this.checkpointSize);
    this.#lastMark = mark;
    this.#collecting = null;
    const exports = this.#early.mark === mark ? this.#early.exports : new Map();
    this.#round = { mark, digest, exporting, exports };
  }

  /** What a replica exported at `mark`; without meaning once that round is concluded. True when it is new. */
  exported(replica: ReplicaId, mark: Index, digest: Digest, here: boolean = true): boolean {
    const round = this.#round?.mark === mark ? this.#round : this.#collecting;
    if (round?.mark === mark) {
      if (round.exports.get(replica)?.digest === digest) return false;
      round.exports.set(replica, { digest, here });
      return true;
    }
    if (here || mark < this.#early.mark || mark <= this.#lastMark) return false;
    if (mark > this.#early.mark) this.#early = { mark, exports: new Map() };
    this.#early.exports.set(replica, { digest, here });
    return true;
  }

  /** What replicas of this manager exported in a round that is not concluded. */
  exportsHere(): { replica: ReplicaId; mark: Index; digest: Digest }[] {
    const round = this.#round ?? this.#collecting;
    if (round === null) return [];
    const here = [...round.exports].filter(([, exported]) => exported.here);
    return here.map(([replica, { digest }]) => ({ replica, mark: round.mark, digest }));
  }

  /** No replica of this manager is refreshed any more in this round. */
  end(quorum: number, oldestFirst?: Iterable<ReplicaId>): RoundEnd | null {
    const round = this.#round;
    if (round === null) return null;
    this.#round = null;
    this.#collecting = round.exporting || round.exports.size > 0 ? round : null;
    return (
      this.conclude(quorum, oldestFirst) ?? {
        mark: round.mark,
        checkpoint: null,
        here: false,
        disputed: null,
      }
    );
  }

  /**
   * `checkpoint` is what f+1 exports agree on. When f+1 came and do not agree, one of them is wrong, and nobody can tell
   * which: `disputed` is the one of the oldest replica. Its successor will be younger than the others, so that the wrong
   * one is found in at most f+1 rounds.
   */
  conclude(quorum: number, oldestFirst?: Iterable<ReplicaId>): RoundEnd | null {
    const round = this.#collecting;
    if (round === null) return null;
    const { mark, exports } = round;
    const counts = new Map<Digest, number>();
    for (const { digest } of exports.values()) counts.set(digest, (counts.get(digest) ?? 0) + 1);
    for (const [checkpoint, count] of counts) {
      if (count < quorum) continue;
      this.#collecting = null;
      this.#sinceCheckpoint = 0;
      const here = [...exports.values()].some((exported) => exported.here && exported.digest === checkpoint);
      return { mark, checkpoint, here, disputed: null };
    }
    if (exports.size < quorum) return null;
    this.#collecting = null;
    for (const disputed of oldestFirst ?? exports.keys()) {
      if (exports.has(disputed)) return { mark, checkpoint: null, here: false, disputed };
    }
    return null;
  }
}
