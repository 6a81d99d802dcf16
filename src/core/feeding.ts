/**
 * What the replicas of this manager are sent: decided updates or a whole state, and then entries to execute.
 *
 * R1. A replica executes an entry only when it is active and its state is that of all entries before; what lies
 *     between its state and the first undecided entry it gets as decided updates.
 */
import type { Core } from './core.ts';
import type { SkipReason } from './entry.ts';
import { index as toIndex, type Digest, type Index } from './ids.ts';
import { executingNow, type Local } from './local.ts';
import { mayBePoison } from './poison.ts';
import { executable, type Slot } from './slot.ts';

export class Feeding {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  execute(now: number, local: Local): void {
    local.phase = 'executing';
    local.since = now;
    local.heardAt = now;
    this.catchUp(local, this.#core.order.decided);
    this.#feedFrom(now, local, this.#core.order.decided);
  }

  #feedFrom(now: number, local: Local, after: Index): void {
    local.held = null;
    for (const slot of this.#core.order.after(after)) {
      if (!executes(local, slot)) continue;
      if (mayBePoison(this.#core, now, slot)) {
        local.held = slot.index;
        return;
      }
      this.#feedOne(local, slot);
    }
  }

  /** Who was held back goes on, once it is known what of. */
  goOn(now: number): void {
    for (const local of this.#core.replicas.all()) {
      const { held } = local;
      if (held === null || local.faulty || local.phase !== 'executing') continue;
      const slot = this.#core.order.slot(held);
      if (slot !== undefined && held > this.#core.order.decided) {
        if (!mayBePoison(this.#core, now, slot)) this.#feedFrom(now, local, toIndex(held - 1));
      } else {
        // Decided by replicas of others.
        this.#anew(now, local);
      }
    }
  }

  catchUp(local: Local, through: Index): void {
    if (local.stale) return this.import(local, through);
    if (local.applied >= through) return;
    const from = toIndex(local.applied + 1);
    this.#core.emit({ type: 'apply', replica: local.id, from, through });
    local.applied = through;
  }

  /** What it was told to execute, and said about it, has no meaning any more. */
  void(local: Local): void {
    local.turn++;
    for (const owed of local.owed) if (owed.type === 'result') owed.void = true;
  }

  import(local: Local, through: Index): void {
    local.stale = false;
    local.fed = false;
    local.filling = true;
    local.applied = through;
    this.#core.emit({ type: 'import', replica: local.id, through });
  }

  feed(slot: Slot): void {
    if (slot.index === 0) return;
    for (const local of this.#core.replicas.all())
      if (local.phase === 'executing' && local.held === null && executes(local, slot))
        this.#feedOne(local, slot);
  }

  #feedOne(local: Local, slot: Slot): void {
    local.fed = true;
    local.owed.push({ type: 'result', index: slot.index, void: false });
    const { index, time, tickFrom } = slot;
    this.#core.emit({ type: 'execute', replica: local.id, index, time, tickFrom });
  }

  /** After a skip: back to the verified state, then on with what is undecided and not skipped. */
  restore(now: number, skipped: Index, reason: SkipReason): void {
    for (const local of this.#core.replicas.all()) {
      if (local.phase !== 'executing' || local.faulty) continue;
      if (reason === 'timeout' && executingNow(local) === skipped) {
        this.#core.fault(now, local, 'late', skipped);
        continue;
      }
      this.#anew(now, local);
    }
  }

  /** From the verified state on: who has executed something is given it as a whole, who has not lacks the updates after its own. */
  #anew(now: number, local: Local): void {
    if (local.fed) {
      this.void(local);
      this.import(local, this.#core.order.decided);
    }
    this.execute(now, local);
  }

  askDigest(local: Local, index: Index, expected: Digest | null): void {
    local.owed.push({ type: 'digest', index, expected });
    this.#core.emit({ type: 'digest', replica: local.id });
  }
}

function executes(local: Local, slot: Slot): boolean {
  return executable(slot) && (local.until === null || slot.index < local.until);
}
