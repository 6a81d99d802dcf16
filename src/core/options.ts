/** What a core is run with. */
import type { DeadlineLimits } from './deadline.ts';
import type { ManagerId } from './ids.ts';
import type { PatienceLimits } from './patience.ts';
import type { RefreshLimits } from './refresh.ts';

export interface CoreOptions {
  /** f: how many replicas may fail at once. */
  readonly faults: number;
  readonly manager: ManagerId;
  /** All managers, this one among them, in the same order everywhere. */
  readonly managers: readonly ManagerId[];
  readonly variants: number;
  /** Number of the first replica to be started; no earlier run used it. */
  readonly firstReplica: number;
  readonly deadline: DeadlineLimits;
  readonly patience: PatienceLimits;
  readonly refresh: RefreshLimits;
  /** The longest that an entry may stay undecided once it is its turn. */
  readonly requestTimeoutMs: number;
  /** So many keys of requests are remembered. */
  readonly keysMax: number;
  /** Without what it takes to bring the state there. */
  readonly startTimeoutMs: number;
  /** Size of the whole state that replicas are filled from at first. */
  readonly stateBytes: number;
  /** Size of all recorded updates, which come on top of it. */
  readonly updateBytes: number;
}
