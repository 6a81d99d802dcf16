/**
 * The entries of the order, as far as the core must know them. Every manager sees the same entries at the same
 * indices; decisions about roles are commands among them, so that they take effect at one index everywhere.
 */
import type { Vote } from './event.ts';
import type { FaultKind } from './fault.ts';
import type { Index, ManagerId, ReplicaId } from './ids.ts';

/** Agreed wall clock, milliseconds since the epoch. */
export type Time = number;

/** A client's own name for a request that it may send again. */
export interface Key {
  readonly key: string;
  /** Digest of what makes two requests the same one; no spaces. */
  readonly fingerprint: string;
}

export type Role = 'active' | 'passive';

export interface Member {
  readonly replica: ReplicaId;
  readonly manager: ManagerId;
  readonly variant: number;
  readonly role: Role;
}

export type SkipReason =
  /** 2f+1 replicas voted and no f+1 agree. */
  | 'no-agreement'
  /** f+1 replicas went down while they executed it. */
  | 'poison'
  /** f+1 replicas did not answer within the request's time. */
  | 'timeout';

export type Command =
  /** A manager that has `seen` the order so far has (re)started: its earlier replicas are gone, these take their place. */
  | {
      readonly type: 'boot';
      readonly manager: ManagerId;
      readonly members: readonly Member[];
      readonly seen: Index;
    }
  /** That life of a manager is over (-1: it never booted), and so are its replicas; `by`, in that life, found that. */
  | {
      readonly type: 'dismiss';
      readonly manager: ManagerId;
      readonly boot: Index;
      readonly by: ManagerId;
      readonly byBoot: Index;
    }
  /** How far a manager had decided by itself when it came to the entry `round`. */
  | {
      readonly type: 'report';
      readonly manager: ManagerId;
      readonly round: Index;
      readonly decided: Index;
    }
  /**
   * f+1 replicas voted so for each of these, which follow one another, in the round that began at `round`; holds up to the first
   * that is decided otherwise.
   */
  | {
      readonly type: 'decide';
      readonly round: Index;
      readonly votes: readonly { readonly index: Index; readonly vote: Vote }[];
    }
  /** A clean replica is ready for the passive role. */
  | { readonly type: 'join'; readonly member: Member }
  /** Votes for `index` differ, or one lags: all passive replicas execute from here on. */
  | { readonly type: 'suspect'; readonly index: Index }
  /** A faulty replica leaves; when active ones are missing then, passive ones execute from here on. */
  | { readonly type: 'expel'; readonly replica: ReplicaId; readonly kind: FaultKind; readonly index: Index }
  /** A sound replica is to be replaced: `by` a passive one that catches up now; null: it is passive itself, and leaves. */
  | { readonly type: 'rotate'; readonly replica: ReplicaId; readonly by: ReplicaId | null }
  /** The passive replica has caught up, and is active for what comes from here on; the one it `replaces` only before. */
  | { readonly type: 'promote'; readonly replica: ReplicaId; readonly replaces: ReplicaId }
  /** All managers of the view have decided what the replaced replica has to vote on: the rotation is over. */
  | { readonly type: 'retire'; readonly replica: ReplicaId }
  /** A new version takes the place of all replicas: these are f+1 active ones, for what comes from here on, and f+1 passive ones. */
  | { readonly type: 'succeed'; readonly members: readonly Member[] }
  /** The suspicion is over: these stay active, all others that executed are retired. */
  | { readonly type: 'settle'; readonly active: readonly ReplicaId[] }
  /** Entry `index` has no effect; its client is told why. */
  | { readonly type: 'skip'; readonly index: Index; readonly reason: SkipReason };

export type Entry =
  /** Entry 0: the service's own start. */
  | { readonly type: 'start'; readonly time: Time }
  | {
      readonly type: 'request';
      readonly time: Time;
      readonly key: Key | null;
      /** Size of the request. */
      readonly bytes: number;
    }
  /** Drives the service's timers. */
  | { readonly type: 'tick'; readonly time: Time }
  /** Changes nothing; its reply is the digest of the state. Refresh goes up to a mark. */
  | { readonly type: 'mark'; readonly time: Time }
  | { readonly type: 'command'; readonly time: Time; readonly command: Command };
