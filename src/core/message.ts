/**
 * What managers say to each other. Digests only; bytes are fetched. Managers are trusted, the network between them is
 * not: a part may be lost, late or doubled without harm, and what matters is said again when it is asked for.
 */
import type { Vote } from './event.ts';
import type { Digest, Index, ReplicaId } from './ids.ts';

export interface CastVote {
  readonly index: Index;
  /** The latest command that voided earlier votes for the entry. */
  readonly epoch: Index;
  readonly vote: Vote;
}

export type Part =
  /** What a replica of the sender executed; its state is known to be right through `good`. */
  | {
      readonly type: 'votes';
      readonly replica: ReplicaId;
      /** How often it was put back to a verified state while it executed: what it said before that is void. */
      readonly turn: number;
      readonly good: Index;
      readonly votes: readonly CastVote[];
    }
  /** Decided and recorded; the last mark that is decided; the last checkpoint. */
  | { readonly type: 'progress'; readonly decided: Index; readonly mark: Index; readonly checkpoint: Index }
  /** Say again what you know from this entry on. */
  | { readonly type: 'ask'; readonly from: Index }
  | {
      readonly type: 'decisions';
      readonly decisions: readonly { readonly index: Index; readonly vote: Vote }[];
    }
  /** What was asked for is let go of: only a whole state helps. */
  | { readonly type: 'too-old' }
  /** These replicas of the sender are ready to stay after the suspicion at this index. */
  | { readonly type: 'caught-up'; readonly suspicion: Index; readonly replicas: readonly ReplicaId[] }
  /** These replicas of the sender have worked on an entry for longer than a request may take. */
  | {
      readonly type: 'silent';
      readonly silent: readonly { readonly replica: ReplicaId; readonly index: Index }[];
    }
  | {
      readonly type: 'exported';
      readonly replica: ReplicaId;
      readonly mark: Index;
      readonly digest: Digest;
    };

export interface Message {
  /** The last entry of the order that the sender had seen: who is behind that waits with the message. */
  readonly at: Index;
  /** The sender's present life: index of its boot, -1 before it. */
  readonly boot: Index;
  readonly parts: readonly Part[];
}
