/**
 * The rules of suspicion: what a manager asks for when votes differ, come late or cannot agree, and when a
 * suspicion is over. All of it as commands, so that it takes effect at an ordered index.
 *
 * U1. Differing votes for the first undecided entry raise a suspicion, and so does a vote that lags; every passive
 *     replica executes then.
 * U2. A replica is late, and expelled, only when f+1 others decided an entry and its own vote still lags, or answered it and
 *     it has been silent for as long as a request may take: a first vote alone says nothing, for it can be a quick lie.
 * U3. An entry is skipped when 2f+1 replicas voted without f+1 agreeing, when f+1 replicas went down while they
 *     executed it, or when f+1 replicas took longer for it than a request may take. Several managers skip only where the
 *     order decides (`agreement.ts`).
 * U4. A suspicion is over once everything up to it is decided and f+1 replicas have caught up, and nothing keeps them from what
 *     comes next, as an export that they were at: these stay.
 * U5. A manager finds only its own replicas late; for another's it suspects when nothing is heard of them for as long as
 *     a request may take.
 * U7. An active replica that does not come up keeps nobody from being served: where one that sleeps came up with it, those that
 *     sleep execute.
 */
import type { Core } from './core.ts';
import type { Role } from './entry.ts';
import type { Index, ReplicaId } from './ids.ts';
import { executingNow, forgivePause, type Local } from './local.ts';
import { proposeDecisions } from './ordering.ts';
import { isTooSlow } from './patience.ts';
import { agreed, conflicting, type Votes } from './quorum.ts';
import { superviseRotation } from './rotating.ts';
import { readyToStay, settle } from './settling.ts';
import { executable, type Slot } from './slot.ts';
import { stateOf } from './view.ts';

export function supervise(core: Core, now: number): void {
  for (const local of core.replicas.all()) forgivePause(now, local);
  core.patience.observe(now);
  const next = core.order.unchosen;
  if (next !== undefined && executable(next)) watchEntry(core, now, next);
  watchSilent(core, now);
  watchPhases(core, now);
  watchStarts(core, now);
  settle(core, now, readyToStay(core, now));
  superviseRotation(core, now);
  core.succession.supervise(now);
  core.replicas.replenish(now);
}

function watchEntry(core: Core, now: number, slot: Slot): void {
  const { index } = slot;
  const votes = core.deciding.countable(slot);
  if (core.orders) proposeDecisions(core);
  if (index === 0) return watchStart(core, slot, votes);
  const undecidable = votes.size > 2 * core.options.faults && agreed(votes, core.quorum) === null;
  if (undecidable && (core.alone || core.agreement.open(index))) {
    core.propose({ type: 'skip', index, reason: 'no-agreement' });
  } else if (core.group.suspicion === null && (conflicting(votes) || anyLags(core, now, slot))) {
    core.propose({ type: 'suspect', index });
  }
}

/**
 * Who has been silent for longer than a request may take, while it had something to answer. When f+1 of them are at
 * the same undecided entry, the entry is at fault; who is at something else is late, and so is who is at one that f+1 others
 * have answered.
 */
function watchSilent(core: Core, now: number): void {
  const silent: { replica: ReplicaId; index: Index }[] = [];
  for (const local of core.replicas.all()) {
    const [front] = local.owed;
    if (local.phase !== 'executing' || local.faulty || front === undefined) continue;
    const orderedAt = core.order.slot(front.index)?.orderedAt ?? 0;
    if (now - Math.max(orderedAt, local.heardAt) <= patienceMs(core, local)) continue;
    const at = executingNow(local);
    const answered = at === null ? 0 : (core.order.slot(at)?.votes.size ?? 0);
    if (at === null || at <= core.order.decided || answered >= core.quorum) {
      core.fault(now, local, 'late', front.index);
    } else silent.push({ replica: local.id, index: at });
  }
  core.said.silent(silent);
  const counts = new Map<Index, number>();
  for (const { index } of silent) counts.set(index, (counts.get(index) ?? 0) + 1);
  for (const { index } of core.peers.silent()) {
    if (index > core.order.chosen) counts.set(index, (counts.get(index) ?? 0) + 1);
  }
  for (const [index, count] of counts) {
    if (count < core.quorum) continue;
    if (core.alone || core.agreement.open(index)) core.propose({ type: 'skip', index, reason: 'timeout' });
    else if (core.group.suspicion === null) core.propose({ type: 'suspect', index });
  }
}

function anyLags(core: Core, now: number, slot: Slot): boolean {
  if (slot.votes.size === 0) return false;
  for (const { replica } of core.group.voters(slot.index)) {
    if (slot.votes.has(replica)) continue;
    const local = core.replicas.get(replica);
    if (
      local === undefined
        ? remoteLags(core, now, replica, slot)
        : !local.faulty && lags(core, now, local, slot)
    ) {
      return true;
    }
  }
  return false;
}

function remoteLags(core: Core, now: number, replica: ReplicaId, { firstVoteAt }: Slot): boolean {
  if (core.alone) return false;
  const since = Math.max(firstVoteAt, core.remotes.heardAt(replica), core.presence.calmSince);
  return now - since > core.options.requestTimeoutMs;
}

/**
 * Silent for longer than the deadline, or behind the first vote by more than a request may take at all, or after it has kept
 * others waiting for too long in sum.
 */
export function lags(core: Core, now: number, local: Local, { firstVoteAt }: Slot): boolean {
  if (isTooSlow(local)) return true;
  const silentMs = core.deadline.ms + (local.filling ? core.refreshing.transferMs : 0);
  const silent = local.phase === 'executing' && now - Math.max(firstVoteAt, local.heardAt) > silentMs;
  return silent || now - Math.max(firstVoteAt, local.since) > patienceMs(core, local);
}

/** How long it may take for what it is at: a request, or a whole state that it is filled with, or exports. */
function patienceMs(core: Core, local: Local): number {
  const { requestTimeoutMs } = core.options;
  const executes = local.phase === 'executing' && local.owed[0]?.type !== 'export' && !local.filling;
  return executes ? requestTimeoutMs : requestTimeoutMs + core.refreshing.transferMs;
}

/**
 * Entry 0: when all members have voted or failed and no f+1 agree, the service cannot be replicated. Managers that are not
 * there may still bring members.
 */
function watchStart(core: Core, slot: Slot, votes: Votes): void {
  // Decided by the order, perhaps, and only its bytes are still to come.
  if (slot.ordered !== null || agreed(votes, core.quorum) !== null || core.presence.missing) return;
  for (const { replica } of core.group.members()) {
    const local = core.replicas.get(replica);
    if (local?.faulty !== true && (local !== undefined || !core.alone) && !slot.votes.has(replica)) return;
  }
  core.replicas.halt(conflicting(slot.votes) ? 'start-differs' : 'start-failed');
}

/** Passive, and awake for a moment only. */
const AWAKE: ReadonlySet<Local['phase']> = new Set(['refreshing', 'relieving']);

function watchPhases(core: Core, now: number): void {
  const startMs = core.options.startTimeoutMs + core.refreshing.transferMs;
  for (const local of core.replicas.all()) {
    // It has done all that it was asked for, and waits: for its command to be ordered, or for those it takes over from.
    if (local.owed.length === 0) continue;
    const starting = local.phase === 'starting' || local.phase === 'joining';
    const overdue =
      (starting && now - local.since > startMs) ||
      (AWAKE.has(local.phase) && now - local.since > patienceMs(core, local));
    if (overdue) core.fault(now, local, 'late', core.order.decided);
  }
}

/** Starts differ, and whoever stood in is replaced in the end: so much longer than another one may it take at least. */
const LONGER_MS = 2000;

/** After a boot: who takes twice as long as one that was started with it may never come up. */
function watchStarts(core: Core, now: number): void {
  if (core.group.suspicion !== null || core.order.decided < 0) return;
  const inRole = (role: Role): Local[] =>
    [...core.replicas.all()].filter(({ id, faulty }) => !faulty && core.group.get(id)?.role === role);
  const starting = inRole('active').filter((local) => stateOf(local) === 'starting');
  if (starting.length === 0) return;
  const asleep = inRole('passive').filter(({ phase }) => phase === 'suspended');
  const overdue = starting.some(({ startedAt }) =>
    asleep.some(({ since: upAt }) => now - upAt > Math.max(LONGER_MS, upAt - startedAt)),
  );
  if (overdue) core.propose({ type: 'suspect', index: core.order.decided });
}
