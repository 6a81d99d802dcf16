/**
 * The rules of suspicion: what a manager asks for when votes differ, come late or cannot agree, and when a
 * suspicion is over. All of it as commands, so that it takes effect at an ordered index.
 *
 * U1. Differing votes for the first undecided entry raise a suspicion, and so does a vote that lags; every passive
 *     replica executes then.
 * U2. A replica is late, and expelled, only when f+1 others decided an entry and its own vote still lags: a first
 *     vote alone says nothing about the others, for it can be a quick lie.
 * U3. An entry is skipped when 2f+1 replicas voted without f+1 agreeing, when f+1 replicas went down while they
 *     executed it, or when f+1 replicas took longer for it than a request may take.
 * U4. A suspicion is over once everything up to it is decided and f+1 replicas have caught up: these stay.
 */
import type { Core } from './core.ts';
import type { Index, ReplicaId } from './ids.ts';
import { executingNow, type Local, oldestOwed, restoring } from './local.ts';
import { agreed, conflicting } from './quorum.ts';
import { executable, type Slot } from './slot.ts';

export function supervise(core: Core, now: number): void {
  const { next } = core.order;
  if (next !== undefined && executable(next)) watchEntry(core, now, next);
  watchSilent(core, now);
  watchPhases(core, now);
  settle(core, now);
  core.replicas.replenish(now);
}

function watchEntry(core: Core, now: number, slot: Slot): void {
  const { index, votes } = slot;
  if (index === 0) return watchStart(core, slot);
  const undecidable = votes.size > 2 * core.options.faults && agreed(votes, core.quorum) === null;
  if (undecidable) core.propose({ type: 'skip', index, reason: 'no-agreement' });
  else if (core.group.suspicion === null && (conflicting(votes) || anyLags(core, now, slot))) {
    core.propose({ type: 'suspect', index });
  }
}

/** Any undecided entry, not only the first one: what is before it may have to wait until replicas survive it. */
export function skipPoison(core: Core): void {
  for (const slot of core.order.undecided()) {
    const { index, crashes } = slot;
    const poison = index > 0 && executable(slot) && crashes > core.options.faults;
    if (poison) core.propose({ type: 'skip', index, reason: 'poison' });
  }
}

/**
 * Who has been silent for longer than a request may take, while it had something to answer. When f+1 of them are at
 * the same undecided entry, the entry is at fault; who is at something else is late.
 */
function watchSilent(core: Core, now: number): void {
  const silentAt = new Map<Index, number>();
  for (const local of core.replicas.all()) {
    const [front] = local.owed;
    if (local.phase !== 'executing' || local.faulty || front === undefined) continue;
    const orderedAt = core.order.slot(front.index)?.orderedAt ?? 0;
    if (now - Math.max(orderedAt, local.heardAt) <= core.options.requestTimeoutMs) continue;
    const at = executingNow(local);
    if (at === null || at <= core.order.decided) core.fault(now, local, 'late', front.index);
    else silentAt.set(at, (silentAt.get(at) ?? 0) + 1);
  }
  for (const [index, count] of silentAt) {
    if (count >= core.quorum) core.propose({ type: 'skip', index, reason: 'timeout' });
  }
}

function anyLags(core: Core, now: number, slot: Slot): boolean {
  if (slot.votes.size === 0) return false;
  for (const { replica } of core.group.active()) {
    const local = core.replicas.get(replica);
    if (local === undefined || local.faulty || slot.votes.has(replica)) continue;
    if (lags(core, now, local, slot)) return true;
  }
  return false;
}

/** Silent for longer than the deadline, or behind the first vote by more than a request may take at all. */
function lags(core: Core, now: number, local: Local, { firstVoteAt }: Slot): boolean {
  const silent = local.phase === 'executing' && now - Math.max(firstVoteAt, local.heardAt) > core.deadline.ms;
  return silent || now - Math.max(firstVoteAt, local.since) > core.options.requestTimeoutMs;
}

/** Entry 0: when all members have voted or failed and no f+1 agree, the service cannot be replicated. */
function watchStart(core: Core, slot: Slot): void {
  for (const { replica } of core.group.members()) {
    const local = core.replicas.get(replica);
    if (local !== undefined && !local.faulty && !slot.votes.has(replica)) return;
  }
  core.replicas.halt(conflicting(slot.votes) ? 'start-differs' : 'start-failed');
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
    if (owed === null || (owed > suspicion && !restoring(local))) stay.push(replica);
    else if (!local.woken) {
      // One that was active all along is not just left behind: it catches up, or it is late.
      const slot = core.order.slot(owed);
      if (slot !== undefined && !lags(core, now, local, slot)) return;
      core.fault(now, local, 'late', owed);
    }
  }
  if (stay.length >= core.quorum) core.propose({ type: 'settle', active: stay.slice(0, core.quorum) });
}
