/**
 * How long each replica has kept all others waiting, added up. A deadline for each vote alone would let a replica take
 * all but the deadline for every one: none would be late, and all clients slow.
 *
 * U6. A replica that kept others waiting for too long in sum counts as lagging from then on. Only time is counted in which others
 *     have answered and it works on the entry for longer than the first of them did, by more than a grace; what a sound
 *     replica gathers now and then is forgiven again, and all of it where an answer that others waited with was wrong. It is late,
 *     and replaced, at the end of the next suspicion, however quick it is by then: once f+1 others have caught up.
 */
import type { Core } from './core.ts';
import type { Local } from './local.ts';
import { executable, type Slot } from './slot.ts';

export interface PatienceLimits {
  /** Not counted of each entry. */
  readonly graceMs: number;
  /** So much makes a replica count as lagging. */
  readonly overtimeMs: number;
}

/** Of all time that passes. */
const FORGIVEN = 0.1;

export class Patience {
  readonly #core: Core;
  #at = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Counts what has passed since it was last called. */
  observe(now: number): void {
    const { order, replicas, group, options } = this.#core;
    const since = this.#at;
    this.#at = now;
    for (const local of replicas.all()) {
      local.overtimeMs = Math.max(0, local.overtimeMs - (now - since) * FORGIVEN);
    }
    const slot = order.unchosen;
    if (slot === undefined || !executable(slot) || slot.votes.size === 0) return;
    const { graceMs, overtimeMs } = options.patience;
    for (const { replica } of group.voters(slot.index)) {
      const local = replicas.get(replica);
      if (local === undefined || slot.votes.has(replica) || !isCounted(local)) continue;
      const from = Math.max(since, slot.firstVoteAt, begun(local, slot) + slot.workMs + graceMs);
      local.overtimeMs += Math.max(0, now - from);
      if (local.overtimeMs > overtimeMs) local.overtimeMs = Infinity;
    }
  }

  /** Some had answered otherwise than it was decided: who was waited for may have done nothing but execute. */
  forgive(): void {
    for (const local of this.#core.replicas.all()) local.overtimeMs = 0;
  }
}

/** From then on it counts as lagging. */
export function isTooSlow({ overtimeMs }: Local): boolean {
  return overtimeMs === Infinity;
}

/** Who was woken for a suspicion has much to catch up with, and who is being filled is not at the entry yet. */
function isCounted({ phase, woken, filling, faulty }: Local): boolean {
  return phase === 'executing' && !woken && !filling && !faulty;
}

/** When it could begin to work on an entry, all before which it has answered. */
export function begun(local: Local, { orderedAt }: Slot): number {
  return Math.max(orderedAt, local.heardAt);
}
