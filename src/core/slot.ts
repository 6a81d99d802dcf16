/** One entry on its way from being ordered to being decided, answered and released. */
import type { Outcome } from './effect.ts';
import type { Entry, SkipReason } from './entry.ts';
import type { Vote } from './event.ts';
import { assert, type Index, type ReplicaId } from './ids.ts';
import type { KeyUse } from './keys.ts';
import { sameVote } from './quorum.ts';

export interface Slot {
  readonly index: Index;
  readonly entry: Entry;
  /** Agreed wall clock of the entry. */
  readonly time: number;
  /** Agreed wall clock of the tick before it. */
  readonly tickFrom: number;
  /** For a request with a key. */
  use: KeyUse | null;
  readonly orderedAt: number;
  readonly votes: Map<ReplicaId, Vote>;
  /** The latest command that voided its votes: those cast before it do not count. */
  epoch: Index;
  firstVoteAt: number;
  /** What the first vote took its replica; infinite while that is not known, as it is of another manager's. */
  workMs: number;
  /** Replicas that went down while they executed it; counted at ordered `expel`s. */
  crashes: number;
  skipped: SkipReason | null;
  /** By an ordered `decide`. */
  ordered: Vote | null;
  /** How a peer decided it. */
  told: Vote | null;
  /** Chosen: it is decided once its bytes are at hand, too. */
  decision: Vote | null;
  /** Once it is chosen: the entry before it that was voted on. */
  before: Index;
  /** Votes whose bytes are here: of replicas of this manager, or fetched. */
  readonly atHand: Vote[];
  /** The bytes behind the decision are being fetched: since when, how often it was tried. */
  fetch: { at: number; tries: number } | null;
  /** They were decided within a state that was fetched as a whole. */
  unknown: boolean;
}

/** Whether replicas execute it and vote on it. */
export function executable(slot: Slot): boolean {
  if (slot.skipped !== null) return false;
  switch (slot.entry.type) {
    case 'start':
    case 'tick':
    case 'mark':
      return true;
    case 'request':
      return slot.use === null || slot.use.type === 'first';
    case 'command':
      return false;
  }
}

/** Whether reply and update of this vote are here. */
export function isAtHand(slot: Slot, vote: Vote): boolean {
  return slot.atHand.some((known) => sameVote(known, vote));
}

/** What its client is told; the entry is a request, and decided. */
export function outcomeOf(slot: Slot): Outcome {
  if (slot.skipped !== null) return { type: 'skipped', reason: slot.skipped };
  switch (slot.use?.type) {
    case 'again':
      if (slot.use.skipped !== null) return { type: 'skipped', reason: slot.use.skipped };
      return { type: 'reply', of: slot.use.of, digest: null };
    case 'reused':
      return { type: 'key-reused' };
    case 'first':
    case undefined:
      if (slot.unknown) return { type: 'unknown' };
      assert(slot.decision !== null, 'C1: an executed request is answered after its decision');
      return { type: 'reply', of: slot.index, digest: slot.decision.reply };
  }
}
