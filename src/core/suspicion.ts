/**
 * The rules of suspicion: what a manager asks for when votes differ, come late or cannot agree, and when a
 * suspicion is over. All of it as commands, so that it takes effect at an ordered index.
 *
 * U1. Differing votes for the first undecided entry raise a suspicion; every passive replica executes then.
 * U2. A replica whose vote lags behind the first one by more than the deadline is late.
 * U3. An entry is skipped when 2f+1 replicas voted without f+1 agreeing, when it ended f+1 replicas, or when it
 *     took longer than a request may take.
 * U4. A suspicion is over once everything up to it is decided and f+1 replicas have caught up: these stay.
 */
import type { Core } from './core.ts';
import type { ReplicaId } from './ids.ts';
import { oldestOwed } from './local.ts';
import { agreed, conflicting } from './quorum.ts';
import { executable, type Slot } from './slot.ts';

export function supervise(core: Core, now: number): void {
  const { next } = core.order;
  if (next !== undefined && executable(next)) watchEntry(core, now, next);
  watchPhases(core, now);
  settle(core, now);
  core.replicas.replenish(now);
}

function watchEntry(core: Core, now: number, slot: Slot): void {
  const { faults, requestTimeoutMs } = core.options;
  if (slot.index === 0) return watchStart(core, slot);
  if (conflicting(slot.votes) && core.group.suspicion === null) {
    core.propose({ type: 'suspect', index: slot.index });
  }
  const undecidable = slot.votes.size > 2 * faults && agreed(slot.votes, core.quorum) === null;
  const turnAt = Math.max(slot.orderedAt, core.decidedAt);
  if (undecidable) core.propose({ type: 'skip', index: slot.index, reason: 'no-agreement' });
  else if (slot.crashes > faults) core.propose({ type: 'skip', index: slot.index, reason: 'poison' });
  else if (now - turnAt > requestTimeoutMs && executingAny(core)) {
    core.propose({ type: 'skip', index: slot.index, reason: 'timeout' });
  } else if (slot.votes.size > 0) expelLate(core, now, slot, turnAt);
}

function executingAny(core: Core): boolean {
  for (const local of core.replicas.all()) if (local.phase === 'executing' && !local.faulty) return true;
  return false;
}

function expelLate(core: Core, now: number, slot: Slot, turnAt: number): void {
  for (const local of core.replicas.all()) {
    if (local.phase !== 'executing' || local.faulty || slot.votes.has(local.id)) continue;
    const since = Math.max(turnAt, slot.firstVoteAt, local.since);
    if (now - since > core.deadline.ms) core.fault(now, local, 'late', slot.index);
  }
}

/** Entry 0: when all members have voted or failed and no f+1 agree, the service cannot be replicated. */
function watchStart(core: Core, slot: Slot): void {
  for (const { replica } of core.group.members()) {
    const local = core.replicas.get(replica);
    if (local !== undefined && !local.faulty && !slot.votes.has(replica)) return;
  }
  if (conflicting(slot.votes) && agreed(slot.votes, core.quorum) === null)
    core.replicas.halt('start-differs');
}

function watchPhases(core: Core, now: number): void {
  const { startTimeoutMs, requestTimeoutMs } = core.options;
  for (const local of core.replicas.all()) {
    const starting = local.phase === 'starting' || local.phase === 'joining';
    const overdue =
      (starting && now - local.since > startTimeoutMs) ||
      (local.phase === 'refreshing' && now - local.since > requestTimeoutMs);
    if (overdue) core.fault(now, local, 'late', core.order.decided);
  }
}

function settle(core: Core, now: number): void {
  const { suspicion } = core.group;
  if (suspicion === null || core.order.decided < suspicion) return;
  const stay: ReplicaId[] = [];
  for (const { replica } of core.group.active()) {
    const local = core.replicas.get(replica);
    if (local === undefined || local.faulty || local.phase !== 'executing') continue;
    const owed = oldestOwed(local);
    if (owed === null || owed > suspicion) stay.push(replica);
    else if (!local.woken) {
      const slot = core.order.slot(owed);
      const since = Math.max(local.since, slot?.firstVoteAt ?? 0);
      // One that was active all along is not just left behind: it catches up, or it is late.
      if (now - since <= core.deadline.ms) return;
      core.fault(now, local, 'late', owed);
    }
  }
  if (stay.length >= core.quorum) core.propose({ type: 'settle', active: stay.slice(0, core.quorum) });
}
