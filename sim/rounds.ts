/**
 * The rounds of reports, as one manager goes through them (A1 in `src/core/agreement.ts`): what it chose before a round is open
 * again, and the order decides only once all of the view have reported in this very round, from the highest report on.
 */
import type { Core } from '../src/core/core.ts';
import type { Event } from '../src/core/event.ts';
import { index as toIndex, type ManagerId } from '../src/core/ids.ts';
import { promise } from './violation.ts';

export class Rounds {
  #round = -1;
  /** Who has reported in the present round; null when it began before the manager was started. */
  #reported: Set<ManagerId> | null = null;

  stepped(core: Core, event: Event): void {
    const { agreement } = core;
    if (event.type === 'recovered') this.#reported = null;
    const began = agreement.round !== this.#round;
    this.#round = agreement.round;
    if (event.type !== 'ordered') return;
    if (began) {
      this.#reported = new Set();
      this.#opened(core);
    }
    const command = event.entry.type === 'command' ? event.entry.command : null;
    if (command?.type !== 'report') return;
    if (command.round === agreement.round) this.#reported?.add(command.manager);
    if (agreement.mode === 'ordered' && this.#reported !== null) this.#decides(core, this.#reported);
  }

  #decides({ managers }: Core, reported: ReadonlySet<ManagerId>): void {
    for (const manager of managers.ids()) {
      promise(reported.has(manager), 'C', () => `the order decides, and ${manager} has not reported`);
    }
  }

  /** Nothing is chosen any more but what the order decided for good, or what others that have seen this said at once. */
  #opened({ order }: Core): void {
    for (let at = order.decided + 1; at <= order.chosen; at++) {
      const { decision = null, ordered = null, told = null } = order.slot(toIndex(at)) ?? {};
      const open = decision === null || ordered !== null || told !== null;
      promise(open, 'C', () => `${at} stays chosen, and a round began`);
    }
  }
}
