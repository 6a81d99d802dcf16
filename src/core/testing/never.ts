/** Limits that no test reaches. */
import type { RefreshLimits } from '../refresh.ts';

export const NEVER = 1e9;
export const NO_REFRESH: RefreshLimits = {
  entries: NEVER,
  bytes: NEVER,
  ageMs: NEVER,
  ordered: NEVER,
  orderedBytes: NEVER,
  checkpointBytes: NEVER,
};
