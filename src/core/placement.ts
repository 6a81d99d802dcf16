/**
 * Which manager runs how many replicas. Decided from ordered state alone, so that all managers agree on it without asking.
 *
 * The founding members are dealt out in turn, the active ones first, so that they lie on different hosts as far as
 * possible; what is lost later is replaced where the fewest are.
 */
import type { Core } from './core.ts';
import type { Member } from './entry.ts';
import type { ManagerId, ReplicaId } from './ids.ts';
import type { CoreOptions } from './options.ts';

/** This manager's share of f+1 active and f+1 passive ones; member i runs variant i mod n. */
export function bootShare(options: CoreOptions, newId: () => ReplicaId): Member[] {
  const { faults, manager, managers, variants } = options;
  const members: Member[] = [];
  for (let i = 0; i < 2 * faults + 2; i++) {
    if (managers[i % managers.length] !== manager) continue;
    members.push({
      replica: newId(),
      manager,
      variant: i % variants,
      role: i <= faults ? 'active' : 'passive',
    });
  }
  return members;
}

/** How many replicas this manager should have for the group to have 2f+2. */
export function missingHere(core: Core): number {
  const { alone, quorum, group, managers, options } = core;
  if (alone) return 2 * quorum;
  const counts = new Map<ManagerId, number>();
  for (const manager of managers.ids()) counts.set(manager, 0);
  for (const { manager } of group.members()) counts.set(manager, (counts.get(manager) ?? 0) + 1);
  // Those that are expected still bring their own.
  const expecting = options.managers.some((manager) => !managers.seen(manager));
  for (let missing = expecting ? 0 : 2 * quorum - group.size; missing > 0; missing--) {
    let least: ManagerId | null = null;
    for (const [manager, count] of counts) {
      if (least === null || count < (counts.get(least) ?? 0)) least = manager;
    }
    if (least === null) return 0;
    counts.set(least, (counts.get(least) ?? 0) + 1);
  }
  return counts.get(options.manager) ?? 0;
}
