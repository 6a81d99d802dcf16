/**
 * A request that ends whoever executes it: skipped once f+1 replicas went down with it, and until then not given to more
 * replicas than it takes to know that.
 *
 * Y1. What a replica went down with is given to a further one only when all here that are at it have answered it, are gone
 *     from the group, or take longer than a vote may take.
 */
import type { Core } from './core.ts';
import { executable, type Slot } from './slot.ts';

/** Any undecided entry, not only the first one: what is before it may have to wait until replicas survive it. */
export function skipPoison(core: Core): void {
  for (const slot of core.order.undecided()) {
    const { index, crashes } = slot;
    const poison = index > 0 && executable(slot) && crashes > core.options.faults;
    if (poison && (core.alone || core.agreement.open(index))) {
      core.propose({ type: 'skip', index, reason: 'poison' });
    }
  }
}

/** Whether a replica is to wait before it executes this entry (Y1). */
export function mayBePoison(core: Core, now: number, slot: Slot): boolean {
  if (slot.crashes === 0 || !executable(slot)) return false;
  for (const local of core.replicas.all()) {
    if (local.faulty && core.group.get(local.id) !== undefined) return true;
    const isAt = local.owed.some((owed) => owed.type === 'result' && !owed.void && owed.index === slot.index);
    const since = Math.max(slot.orderedAt, local.heardAt);
    if (!local.faulty && isAt && now - since <= core.deadline.ms) return true;
  }
  return false;
}
