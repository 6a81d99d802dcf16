/** What a manager is run with. */
import type { CoreOptions } from '../core/index.ts';
import type { DomainLimits, ServiceImage } from '../domains/domain.ts';
import type { HookOptions } from '../evidence/hook.ts';
import type { RecoveryOptions } from './rejuvenation.ts';

/** What replicas are started from. */
export interface Version {
  readonly variants: readonly ServiceImage[];
  /** Of all that they are started from. */
  readonly digest: string;
  /**
   * Before each start: what domains are not to see, as in `DomainSpec`. Throws `image-changed` when it is not what was accepted,
   * `image-unreadable` when that cannot be told; either is reported already.
   */
  readonly check: () => Promise<readonly string[]>;
}

/** The agent's own report of a start that takes too long says more than that there was none, so it gets the time to come. */
export const REPORT_MS = 5000;

/** How much the update log and the order may hold before passive replicas are refreshed. */
export const REFRESH: CoreOptions['refresh'] = {
  entries: 512,
  bytes: 4 * 1024 ** 2,
  ageMs: 60_000,
  ordered: 20_000,
  orderedBytes: 32 * 1024 ** 2,
  checkpointBytes: 32 * 1024 ** 2,
};

export interface ManagerOptions {
  readonly faults: number;
  readonly version: Version;
  /** Absolute; exists. */
  readonly dataFolder: string;
  readonly limits: DomainLimits;
  readonly deadline: CoreOptions['deadline'];
  readonly patience: CoreOptions['patience'];
  readonly refresh: CoreOptions['refresh'];
  /** Null: replicas are replaced only when they are faulty, or when it is asked for. */
  readonly recovery: RecoveryOptions | null;
  readonly requestTimeoutMs: number;
  readonly startTimeoutMs: number;
  readonly replyBytesMax: number;
  /** The largest answer of an agent: a reply and an update. */
  readonly frameBytesMax: number;
  readonly stateBytesMax: number;
  /** Who is told of incidents. */
  readonly hook: HookOptions;
  /** One line for the operator. */
  readonly log: (line: string) => void;
}
