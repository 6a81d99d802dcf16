/** Test support: the core of the first of three managers, all in the view from entry 0 on; no replica runs yet. */
import { Core } from '../core.ts';
import { index, managerId, type ManagerId } from '../ids.ts';
import { NEVER, NO_REFRESH } from './never.ts';

export const ME: ManagerId = managerId('m0');
export const OTHERS: readonly [ManagerId, ManagerId] = [managerId('m1'), managerId('m2')];

export function oneOfThree(): Core {
  const managers = [ME, ...OTHERS];
  const core = new Core({
    faults: 1,
    manager: ME,
    managers,
    variants: 1,
    firstReplica: 0,
    deadline: { floorMs: 1, ceilingMs: 1, factor: 1 },
    patience: { graceMs: 1000, overtimeMs: 1000 },
    refresh: NO_REFRESH,
    requestTimeoutMs: NEVER,
    keysMax: 1000,
    startTimeoutMs: NEVER,
    stateBytes: 0,
    updateBytes: 0,
  });
  for (const manager of managers) core.managers.boot(index(0), manager);
  return core;
}
