/** What the core is told. Each event comes with `now`, the manager's own clock in milliseconds, never going back. */
import type { Entry, SkipReason } from './entry.ts';
import type { Digest, Index, ManagerId, ReplicaId } from './ids.ts';
import type { OrderedState } from './membership.ts';
import type { Message } from './message.ts';

export interface Vote {
  readonly reply: Digest;
  readonly update: Digest;
  /** Size of the update's encoding. */
  readonly updateBytes: number;
}

export type Event =
  /** What the manager's store holds after a restart; before any other event. */
  | {
      readonly type: 'recovered';
      /** The state up to here is durable: checkpoint and recorded updates. -1 when there is none. */
      readonly decided: Index;
      /** The order before this entry was truncated; entries follow from here as `ordered` events. */
      readonly first: Index;
      /** Keys that are remembered as of `first`, oldest first. */
      readonly keys: readonly { readonly key: string; readonly fingerprint: string; readonly index: Index }[];
      /**
       * Entries with a key that were skipped: of those before `first` the ones that ended all that executed them, if not more; where
       * there is one manager, all that were told as `skipped` and whose key is not forgotten, wherever they are.
       */
      readonly skips: readonly { readonly index: Index; readonly reason: SkipReason }[];
      /** The last tick and the time at `first`. */
      readonly tick: number;
      readonly time: number;
      /** What commands before `first` left; null when nothing of it is to be known (one manager, or a first start). */
      readonly state: OrderedState | null;
    }
  /** The next entry of the order. */
  | { readonly type: 'ordered'; readonly index: Index; readonly entry: Entry }
  /** All entries up to here are on disk. */
  | { readonly type: 'durable'; readonly index: Index }
  /** Everything recorded for entries up to here is on disk. Needed only where there are several managers. */
  | { readonly type: 'recorded'; readonly index: Index }
  /** A replica executed an entry (of this manager: checked at the gateway in form, here in order). */
  | { readonly type: 'vote'; readonly replica: ReplicaId; readonly index: Index; readonly vote: Vote }
  /** A replica reported the digest of its state, as asked; `stateBytes`, the size of an export of it, is part of what that is over. */
  | {
      readonly type: 'digest';
      readonly replica: ReplicaId;
      readonly digest: Digest;
      readonly stateBytes: number;
    }
  /** A replica exported its whole state, as asked; `digest` is over the exported bytes. */
  | { readonly type: 'exported'; readonly replica: ReplicaId; readonly digest: Digest }
  /** Nothing is heard of a replica while what it exports waits for the disk; `paused`: from now on, or no longer. */
  | { readonly type: 'paused'; readonly replica: ReplicaId; readonly paused: boolean }
  /** The state at `index` is durable as a whole. */
  | { readonly type: 'checkpointed'; readonly index: Index }
  /** A replica's domain ended (`crash`), or it broke the channel's rules (`protocol`). */
  | { readonly type: 'down'; readonly replica: ReplicaId; readonly kind: 'crash' | 'protocol' }
  /** What kept replicas from starting is over: the next start does not wait. */
  | { readonly type: 'startable' }
  /** A replica has been running for long enough: a clean one is to take its place. Forgotten when that cannot be now. */
  | { readonly type: 'rotate'; readonly replica: ReplicaId }
  /** A new version of the service, with so many variants, is to take over. Forgotten while another one is about to. */
  | { readonly type: 'deploy'; readonly variants: number }
  /** Another manager says something. Messages may be lost, doubled, late, and in any order. */
  | { readonly type: 'peer'; readonly from: ManagerId; readonly message: Message }
  /** Another manager seems to be dead. */
  | { readonly type: 'peer-down'; readonly manager: ManagerId }
  /** The bytes of a decided entry are at hand, or the peer that was asked does not have them (any more). */
  | { readonly type: 'fetched'; readonly index: Index; readonly vote: Vote; readonly found: boolean }
  /** The whole state of a peer is here, the one at `index`; null when it could not be had. */
  | { readonly type: 'state-fetched'; readonly index: Index | null }
  /** The manager is ready to run replicas: everything that its store holds was told. */
  | { readonly type: 'boot' }
  /** Time passed. */
  | { readonly type: 'clock' };
