/**
 * What the core wants done, as data; the manager carries effects out in the order given.
 *
 * E1. `answer` comes only for an entry that is decided and durable, and so are the skips before it; once.
 * E2. `record` of an entry comes before its `answer`; it need not be durable before it, because the order is.
 * E3. Effects on one replica reach it in the order given; what it gets is `apply` of decided updates or `execute`
 *     of undecided entries, without a gap.
 * E4. `truncate-updates` comes only after `checkpointed` at its index; `truncate-order` only for entries whose
 *     effect was recorded before.
 * E5. `release` comes for every entry, once, after its `answer` and the last result that a replica owes for it.
 */
import type { Command, SkipReason } from './entry.ts';
import type { Vote } from './event.ts';
import type { Fault } from './fault.ts';
import type { Digest, Index, ManagerId, ReplicaId } from './ids.ts';
import type { OrderedState } from './membership.ts';
import type { Message } from './message.ts';

export type Outcome =
  /** The reply with this digest, of entry `of` (the entry itself, or the first one with the same key). */
  | { readonly type: 'reply'; readonly of: Index; readonly digest: Digest | null }
  | { readonly type: 'skipped'; readonly reason: SkipReason }
  /** Decided by others while this manager was away; what they decided is not known here. */
  | { readonly type: 'unknown' }
  /** The key was used before, for another request. */
  | { readonly type: 'key-reused' };

export type Effect =
  | { readonly type: 'append-command'; readonly command: Command }
  | { readonly type: 'append-mark' }
  | { readonly type: 'answer'; readonly index: Index; readonly outcome: Outcome }
  /** Keep the decided update, and the reply if the request had a key. */
  | {
      readonly type: 'record';
      readonly index: Index;
      readonly vote: { readonly reply: Digest; readonly update: Digest };
      readonly keyed: boolean;
    }
  /** Nobody will ask for the votes of this entry any more. */
  | { readonly type: 'release'; readonly index: Index }
  /**
   * The key of this entry is forgotten, and its reply with it: it was not the first with that key (`at` is the entry itself), or
   * gave way to the entry `at`, or that is the skip of it. Who begins with the order before that one must still know it.
   */
  | { readonly type: 'forget-key'; readonly index: Index; readonly at: Index }
  /**
   * `version`: how many deploys have taken over, this one included, since the manager was started. `founds`: whether what its
   * service writes while it starts may be what entry 0 is decided to write; else a verified state takes its place.
   */
  | {
      readonly type: 'start';
      readonly replica: ReplicaId;
      readonly variant: number;
      readonly version: number;
      readonly founds: boolean;
    }
  /** All replicas are of this version from here on. */
  | { readonly type: 'succeeded'; readonly version: number }
  /** A replica of the new version failed before it took over: none of them is left. */
  | { readonly type: 'succession-failed' }
  /** Destroy its domain. */
  | { readonly type: 'stop'; readonly replica: ReplicaId }
  | { readonly type: 'suspend'; readonly replica: ReplicaId }
  | { readonly type: 'resume'; readonly replica: ReplicaId }
  | {
      readonly type: 'execute';
      readonly replica: ReplicaId;
      readonly index: Index;
      readonly time: number;
      readonly tickFrom: number;
    }
  /** Decided updates `from` to `through`, both included. */
  | { readonly type: 'apply'; readonly replica: ReplicaId; readonly from: Index; readonly through: Index }
  /** The whole verified state at `through`, in place of what the replica has. */
  | { readonly type: 'import'; readonly replica: ReplicaId; readonly through: Index }
  | { readonly type: 'digest'; readonly replica: ReplicaId }
  | { readonly type: 'export'; readonly replica: ReplicaId; readonly index: Index }
  /** f+1 passive replicas exported the same bytes: make them durable. */
  | { readonly type: 'checkpoint'; readonly index: Index; readonly digest: Digest }
  /** No replica here asks for the updates up to here again. */
  | { readonly type: 'refreshed'; readonly through: Index }
  /** No manager of the view needs the order up to here; the rest is what `recovered` is told of it. */
  | {
      readonly type: 'truncate-order';
      readonly through: Index;
      readonly time: number;
      readonly tick: number;
      readonly state: OrderedState;
    }
  | { readonly type: 'truncate-updates'; readonly through: Index }
  | { readonly type: 'send'; readonly to: ManagerId; readonly message: Message }
  /** Get reply and update of a decided entry, which no replica here produced. */
  | { readonly type: 'fetch'; readonly index: Index; readonly vote: Vote; readonly from: ManagerId }
  /**
   * Get a whole verified state, not older than `atLeast`, and keep it until it is taken: the other's checkpoint, or, to
   * catch up, the latest that it has.
   */
  | {
      readonly type: 'fetch-state';
      readonly from: ManagerId;
      readonly atLeast: Index;
      readonly which: 'checkpoint' | 'latest';
    }
  /** The state that was fetched is this manager's checkpoint from here on; `checkpointed` once it is durable. */
  | { readonly type: 'take-state'; readonly index: Index }
  /** `votes`: its vote and the decided one, where the two differ. */
  | {
      readonly type: 'incident';
      readonly fault: Fault;
      readonly variant: number;
      readonly votes: { readonly cast: Vote; readonly decided: Vote } | null;
    }
  /**
   * An ordered `skip` took effect: the entry has none. Nobody is to blame for it. After a restart it may be told again. Keep it if
   * the entry has a key: it must be durable before anything that is recorded later.
   */
  | { readonly type: 'skipped'; readonly index: Index; readonly reason: SkipReason }
  /** The founding replicas do not agree on the service's start, or too many of them failed. */
  | { readonly type: 'halt'; readonly reason: 'start-failed' | 'start-differs' };
