/** How far the replicas of this manager are, and what they said. */
import type { Core } from './core.ts';
import { index as toIndex, type Index, type ReplicaId } from './ids.ts';
import { type Local, oldestOwed } from './local.ts';
import type { CastVote, Part } from './message.ts';

const WAITING: ReadonlySet<Local['phase']> = new Set(['suspended', 'refreshing', 'joining', 'relieving']);

/** Whether it may still ask for decided updates; who executes may while it has been given nothing to execute. */
function mayAsk({ phase, fed }: Local): boolean {
  return WAITING.has(phase) || (phase === 'executing' && !fed);
}

/** The last entry whose update no replica here will ask for again; `decided` when none is waiting for updates. */
export function appliedByAll(core: Core): Index {
  let least = core.order.decided;
  for (const local of core.replicas.all()) {
    if (mayAsk(local) && local.applied < least) least = local.applied;
  }
  return least;
}

/** The first entry that a replica still works on. A start is not waited for: it may take long, and is not voted on. */
export function oldestOwedHere(core: Core): Index | null {
  let oldest: Index | null = null;
  for (const local of core.replicas.all()) {
    if (local.phase === 'starting') continue;
    const owed = oldestOwed(local);
    if (owed !== null && (oldest === null || owed < oldest)) oldest = owed;
  }
  return oldest;
}

/** The last entry that a replica's state is known to be right through. */
export function rightThrough({ order }: Core, local: Local): Index {
  const { decided } = order;
  const owed = oldestOwed(local);
  const executed = owed === null || owed > decided ? decided : toIndex(owed - 1);
  return local.phase === 'executing' && executed > local.applied ? executed : local.applied;
}

/** Votes given here for entries from `from` on, at most so many of each replica. */
export function votesFrom(core: Core, from: Index, most: number): Part[] {
  const cast = new Map<ReplicaId, CastVote[]>();
  for (const { index, epoch, votes } of core.order.after(toIndex(from - 1))) {
    for (const [replica, vote] of votes) {
      if (core.replicas.get(replica) === undefined) continue;
      const list = cast.get(replica) ?? [];
      if (list.length < most) list.push({ index, epoch, vote });
      cast.set(replica, list);
    }
  }
  return [...cast].flatMap(([replica, votes]) => {
    const local = core.replicas.get(replica);
    if (local === undefined) return [];
    return { type: 'votes', replica, turn: local.turn, good: rightThrough(core, local), votes };
  });
}
