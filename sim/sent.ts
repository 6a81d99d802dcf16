/**
 * What one manager sends its replicas: from wherever a replica's state is after, each entry once and without a gap, and of those that
 * it is not to execute only what is decided.
 */
import type { Core } from '../src/core/core.ts';
import type { Effect } from '../src/core/effect.ts';
import type { ReplicaId } from '../src/core/ids.ts';
import type { Decisions } from './decisions.ts';
import { promise } from './violation.ts';

type Of<T extends Effect['type']> = Extract<Effect, { type: T }>;

export class Sent {
  readonly #decisions: Decisions;
  /** The entry that a replica's state is after, once it did all that it was sent. */
  readonly #after = new Map<ReplicaId, number>();

  constructor(decisions: Decisions) {
    this.#decisions = decisions;
  }

  #at(replica: ReplicaId): number {
    return this.#after.get(replica) ?? -1;
  }

  start({ replica }: Of<'start'>): void {
    this.#after.set(replica, 0);
  }

  apply(core: Core, { replica, from, through }: Of<'apply'>): void {
    const at = this.#at(replica);
    promise(from === at + 1, 'P4', () => `${replica} misses updates after ${at}`);
    promise(through <= core.order.decided, 'P4', () => `${replica} gets undecided updates`);
    this.#after.set(replica, through);
  }

  import(core: Core, { replica, through }: Of<'import'>): void {
    promise(through <= core.order.decided, 'P4', () => `${replica} gets an undecided state`);
    this.#after.set(replica, through);
  }

  execute(core: Core, { replica, index }: Of<'execute'>): void {
    const at = this.#at(replica);
    promise(index > at, 'P3', () => `${replica} executes ${index} after ${at}`);
    for (let between = at + 1; between < index; between++) {
      const missed = this.#decisions.executed(between) && core.order.slot(between as never)?.skipped === null;
      promise(!missed, 'P3', () => `${replica} misses entry ${between}`);
    }
    this.#after.set(replica, index);
  }
}
