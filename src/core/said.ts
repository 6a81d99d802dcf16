/**
 * What this manager last said to the others about its own replicas and itself: said again only when it changes, or when
 * somebody asks.
 */
import type { Core } from './core.ts';
import type { Index, ReplicaId } from './ids.ts';
import type { Part } from './message.ts';

export class Said {
  readonly #core: Core;
  #caughtUp: Extract<Part, { type: 'caught-up' }> | null = null;
  #silent: Extract<Part, { type: 'silent' }> | null = null;
  /** A `decide` of this manager is on its way. */
  deciding = false;
  /** The round that it asked for its report to be ordered in. */
  reported: Index | null = null;

  constructor(core: Core) {
    this.#core = core;
  }

  caughtUp(suspicion: Index, replicas: readonly ReplicaId[]): void {
    if (this.#core.alone) return;
    const before = this.#caughtUp;
    if (before?.suspicion === suspicion && same(before.replicas, replicas)) return;
    this.#caughtUp = { type: 'caught-up', suspicion, replicas };
    this.#core.peers.toAll(this.#caughtUp);
  }

  silent(silent: readonly { readonly replica: ReplicaId; readonly index: Index }[]): void {
    if (this.#core.alone) return;
    const before = this.#silent?.silent ?? [];
    const equal = before.length === silent.length && before.every((one, i) => one.index === silent[i]?.index);
    if (equal) return;
    this.#silent = { type: 'silent', silent };
    this.#core.peers.toAll(this.#silent);
  }

  again(): Part[] {
    return [this.#caughtUp, this.#silent].filter((part) => part !== null);
  }
}

function same(a: readonly ReplicaId[], b: readonly ReplicaId[]): boolean {
  return a.length === b.length && a.every((replica, i) => replica === b[i]);
}
