/**
 * What is known of replicas of other managers: whether their state is right, and when they were heard of last.
 *
 * A replica that gave another result than the decided one has a wrong state, and what it says from then on does not count
 * (D2 in `deciding.ts`). Its own manager sees each of its results and says through which entry it is right; what is seen
 * here from its votes only saves the wait for that.
 */
import { index as toIndex, type Index, type ReplicaId } from './ids.ts';

interface Remote {
  /** How often it was put back to a verified state. */
  turn: number;
  /** As its manager says. */
  claimed: Index;
  /** As its votes show; open again with what was chosen and not decided. */
  seen: Index;
  heardAt: number;
}

export class Remotes {
  readonly #remotes = new Map<ReplicaId, Remote>();

  #of(replica: ReplicaId): Remote {
    let remote = this.#remotes.get(replica);
    if (remote === undefined) {
      remote = { turn: 0, claimed: toIndex(-1), seen: toIndex(-1), heardAt: 0 };
      this.#remotes.set(replica, remote);
    }
    return remote;
  }

  good(replica: ReplicaId): Index {
    const { claimed, seen } = this.#of(replica);
    return claimed > seen ? claimed : seen;
  }

  heardAt(replica: ReplicaId): number {
    return this.#remotes.get(replica)?.heardAt ?? 0;
  }

  heard(
    now: number,
    replica: ReplicaId,
    turn: number,
    claimed: Index,
  ): 'same turn' | 'new turn' | 'old turn' {
    const remote = this.#of(replica);
    remote.heardAt = now;
    if (turn < remote.turn) return 'old turn';
    const news = turn > remote.turn ? 'new turn' : 'same turn';
    remote.turn = turn;
    if (claimed > remote.claimed) remote.claimed = claimed;
    return news;
  }

  /** Its vote for `index` is the decided one; `before` is the entry before it that was voted on. */
  agrees(replica: ReplicaId, before: Index, index: Index): void {
    const remote = this.#of(replica);
    if (this.good(replica) >= before && remote.seen < index) remote.seen = index;
  }

  /** What was chosen and not decided is open again. */
  unchoose(): void {
    for (const remote of this.#remotes.values()) remote.seen = toIndex(-1);
  }

  forget(replica: ReplicaId): void {
    this.#remotes.delete(replica);
  }
}
