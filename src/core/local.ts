/**
 * One replica of this manager: how far it is, and which answers it owes.
 *
 * L1. An agent answers in the order it was asked: whatever is not the answer at the front of `owed` is a
 *     `protocol` fault.
 * L2. `applied` is the last entry whose verified effect the replica has been sent as an update.
 */
import type { Digest, Index, ReplicaId } from './ids.ts';

export type Phase =
  /** Domain and service are coming up. */
  | 'starting'
  /** Its service is up, but entry 0 is not decided yet. */
  | 'started'
  /** Has got the verified state; becomes a member once it confirmed that. */
  | 'joining'
  | 'suspended'
  | 'refreshing'
  /** Woken to take over from an active one; gets decided updates until then. */
  | 'relieving'
  | 'executing';

export type Owed =
  /** `void`: asked before the state was restored; its answer has no meaning any more. */
  | { readonly type: 'result'; readonly index: Index; void: boolean }
  /** `expected`: the decided digest, or null where the answer itself is all that matters. */
  | { readonly type: 'digest'; readonly index: Index; readonly expected: Digest | null }
  | { readonly type: 'export'; readonly index: Index };

export interface Local {
  readonly id: ReplicaId;
  readonly variant: number;
  /** Of the service; see `succession.ts`. */
  readonly version: number;
  readonly startedAt: number;
  phase: Phase;
  /** When it entered the phase, or was heard of with a whole state that it was given in it, milliseconds. */
  since: number;
  /** When it last answered, or was first told to execute. */
  heardAt: number;
  /** Since when nothing is heard of it because of the disk, as far as that is not forgiven yet. */
  pausedAt: number | null;
  applied: Index;
  readonly owed: Owed[];
  /** How often it was put back to a verified state while it executed. */
  turn: number;
  /** Its state is from before one that was fetched as a whole: updates do not lead from it to the present. */
  stale: boolean;
  /** Began to execute because of the present suspicion; being slow then is no fault. */
  woken: boolean;
  /** How long it has kept others waiting (`patience.ts`). */
  overtimeMs: number;
  /** Another one took over at this entry: it executes only what comes before. */
  until: Index | null;
  /** The first entry that it did not get to execute, because it may be poison. */
  held: Index | null;
  /** It was given an entry to execute since it was last woken, or filled. */
  fed: boolean;
  /** A whole state is on its way to it, and nothing was heard since that it could say only with it. */
  filling: boolean;
  /** A fault was noticed: its votes do not count, and it is on its way out. */
  faulty: boolean;
}

/** The time in which nothing is heard of it because of the disk is not its own. */
export function forgivePause(now: number, local: Local): void {
  if (local.pausedAt === null) return;
  const pausedMs = now - local.pausedAt;
  local.since += pausedMs;
  local.heardAt += pausedMs;
  local.pausedAt = now;
}

/** The next answer, if it is of this type. */
export function settleOwed<T extends Owed['type']>(
  now: number,
  local: Local,
  type: T,
): Extract<Owed, { type: T }> | null {
  const [next] = local.owed;
  if (next?.type !== type) return null;
  local.owed.shift();
  local.heardAt = now;
  // What is void was asked before the state.
  if (local.filling && (next.type !== 'result' || !next.void)) {
    local.filling = false;
    local.since = now;
  }
  return next as Extract<Owed, { type: T }>;
}

/**
 * The first entry whose result is still to come. Results that are void come before those that have a meaning, and may be of
 * later entries: a restored replica executes some anew.
 */
export function oldestOwed(local: Local): Index | null {
  let oldest: Index | null = null;
  for (const owed of local.owed) {
    if (owed.type !== 'result') continue;
    if (oldest === null || owed.index < oldest) oldest = owed.index;
    if (!owed.void) break;
  }
  return oldest;
}

/** Whether it still works on what it was told before its state was restored. */
export function restoring(local: Local): boolean {
  return local.owed.some((owed) => owed.type === 'result' && owed.void);
}

/** The entry that it was busy with, if its answer still has a meaning. */
export function executingNow(local: Local): Index | null {
  const [next] = local.owed;
  return next?.type === 'result' && !next.void ? next.index : null;
}
