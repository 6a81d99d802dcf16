/**
 * The end of a suspicion: f+1 replicas that have caught up stay active, all others that executed are retired.
 */
import type { Core } from './core.ts';
import type { ManagerId, ReplicaId } from './ids.ts';
import { oldestOwed, restoring } from './local.ts';
import { isTooSlow } from './patience.ts';
import { lags } from './suspicion.ts';

/** Replicas of this manager that have caught up; null when one is still to be waited for. */
export function readyToStay(core: Core, now: number): ReplicaId[] | null {
  const { suspicion } = core.group;
  const stay: ReplicaId[] = [];
  if (suspicion === null || core.order.decided < suspicion) return stay;
  for (const { replica } of core.group.active()) {
    const local = core.replicas.get(replica);
    if (local === undefined || local.faulty || local.phase !== 'executing') continue;
    // It still reports or exports what it was asked for before it was woken, and begins only then.
    if (local.owed[0] !== undefined && local.owed[0].type !== 'result') continue;
    const owed = oldestOwed(local);
    if (owed === null || (owed > suspicion && !restoring(local))) {
      if (!isTooSlow(local) || !othersSuffice(core)) stay.push(replica);
    } else if (!local.woken) {
      // One that was active all along is not just left behind: it catches up, or it is late.
      const slot = core.order.slot(owed);
      if (slot !== undefined && !lags(core, now, local, slot)) return null;
      core.fault(now, local, 'late', owed);
    }
  }
  return stay;
}

/** Whether f+1 are there, or may yet come, that do not keep anybody waiting. */
function othersSuffice(core: Core): boolean {
  const others = core.group.active().filter(({ replica }) => {
    const local = core.replicas.get(replica);
    return local === undefined || (!local.faulty && !isTooSlow(local));
  });
  return others.length >= core.quorum;
}

/** So long f+1 that lie on fewer hosts than they could are not taken: replicas of others may be about to catch up. */
const SPREAD_WAIT_MS = 100;

export function settle(core: Core, now: number, here: ReplicaId[] | null): void {
  const { suspicion } = core.group;
  if (suspicion === null) return;
  if (here !== null) core.said.caughtUp(suspicion, here);
  if (here === null || core.order.decided < suspicion) return;
  if (!core.alone && core.agreement.mode !== 'ordered') return;
  const ready = new Set([...here, ...core.peers.caughtUp(suspicion)]);
  const stay = spread(core, ready);
  if (stay.length < core.quorum) return;
  const possible = Math.min(core.quorum, hosts(core, null));
  if (hosts(core, stay) < possible && now - core.presence.calmSince < SPREAD_WAIT_MS) return;
  for (const local of core.replicas.all())
    if (isTooSlow(local) && !stay.includes(local.id)) core.fault(now, local, 'late', core.order.decided);
  core.propose({ type: 'settle', active: stay });
}

/** On how many hosts these active replicas lie, or all. */
function hosts(core: Core, among: readonly ReplicaId[] | null): number {
  const managers = new Set<ManagerId>();
  for (const { replica, manager } of core.group.active()) {
    if (among === null || among.includes(replica)) managers.add(manager);
  }
  return managers.size;
}

/** f+1 of them, on as many hosts as possible, in the group's order. */
function spread(core: Core, ready: ReadonlySet<ReplicaId>): ReplicaId[] {
  const members = core.group.active().filter(({ replica }) => ready.has(replica));
  const used = new Map<ManagerId, number>();
  const chosen = new Set<ReplicaId>();
  for (let round = 0; chosen.size < core.quorum && round < members.length; round++) {
    for (const { replica, manager } of members) {
      if (chosen.size === core.quorum || chosen.has(replica) || (used.get(manager) ?? 0) > round) continue;
      chosen.add(replica);
      used.set(manager, (used.get(manager) ?? 0) + 1);
    }
  }
  return members.flatMap(({ replica }) => (chosen.has(replica) ? [replica] : []));
}
