/** One entry on its way from being ordered to being decided, answered and released. */
import type { Outcome } from './effect.ts';
import type { Entry, SkipReason } from './entry.ts';
import type { Vote } from './event.ts';
import { assert, type Index, type ReplicaId } from './ids.ts';
import type { KeyUse } from './keys.ts';

export interface Slot {
  readonly index: Index;
  readonly entry: Entry;
  /** Agreed wall clock of the entry. */
  readonly time: number;
  /** Agreed wall clock of the tick before it. */
  readonly tickFrom: number;
  /** For a request with a key. */
  readonly use: KeyUse | null;
  readonly orderedAt: number;
  readonly votes: Map<ReplicaId, Vote>;
  firstVoteAt: number;
  /** Replicas that went down while they executed it; counted at ordered `expel`s. */
  crashes: number;
  skipped: SkipReason | null;
  decision: Vote | null;
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

/** What its client is told; the entry is a request, and decided. */
export function outcomeOf(slot: Slot): Outcome {
  if (slot.skipped !== null) return { type: 'skipped', reason: slot.skipped };
  switch (slot.use?.type) {
    case 'again':
      return { type: 'reply', of: slot.use.of, digest: null };
    case 'reused':
      return { type: 'key-reused' };
    case 'first':
    case undefined:
      assert(slot.decision !== null, 'C1: an executed request is answered after its decision');
      return { type: 'reply', of: slot.index, digest: slot.decision.reply };
  }
}
