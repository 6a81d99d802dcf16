/**
 * The view: which managers take part, each with the index of the `boot` that its present life began with. Ordered
 * state.
 *
 * V1. A manager is in the view from its `boot` until a `dismiss` of that life.
 * V2. What is said in the name of an earlier life does not count.
 */
import { index as toIndex, type Index, type ManagerId } from './ids.ts';

export interface ManagersState {
  readonly view: readonly (readonly [ManagerId, Index])[];
  readonly seen: readonly ManagerId[];
}

export class Managers {
  readonly #boots = new Map<ManagerId, Index>();
  /** Booted or dismissed at least once: nobody waits for its first boot. */
  readonly #seen = new Set<ManagerId>();

  get size(): number {
    return this.#boots.size;
  }

  /** The one that does what only one should do; somebody else once it is dismissed. */
  get first(): ManagerId | null {
    for (const manager of this.#boots.keys()) return manager;
    return null;
  }

  ids(): Iterable<ManagerId> {
    return this.#boots.keys();
  }

  has(manager: ManagerId): boolean {
    return this.#boots.has(manager);
  }

  seen(manager: ManagerId): boolean {
    return this.#seen.has(manager);
  }

  /** Index of the boot of its present life; -1 when it is not in the view. */
  bootOf(manager: ManagerId): Index {
    return this.#boots.get(manager) ?? toIndex(-1);
  }

  /** Whether this life of it is the present one (V2). */
  lives(manager: ManagerId, boot: Index): boolean {
    return this.#boots.get(manager) === boot;
  }

  boot(at: Index, manager: ManagerId): void {
    this.#seen.add(manager);
    this.#boots.delete(manager);
    this.#boots.set(manager, at);
  }

  dismiss(manager: ManagerId): void {
    this.#seen.add(manager);
    this.#boots.delete(manager);
  }

  state(): ManagersState {
    return { view: [...this.#boots], seen: [...this.#seen] };
  }

  restore({ view, seen }: ManagersState): void {
    this.#boots.clear();
    this.#seen.clear();
    for (const [manager, at] of view) this.#boots.set(manager, at);
    for (const manager of seen) this.#seen.add(manager);
  }
}
