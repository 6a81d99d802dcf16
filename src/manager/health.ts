/** How much of the group is there, and so what it can do. */
import { type Core, type ReplicaState, type Role, stateOf } from '../core/index.ts';

export class Health {
  readonly #core: Core;
  readonly #faults: number;
  #accepting = false;
  /** When the first of the incidents happened that the group has not recovered from yet. */
  #brokenAt: number | null = null;

  constructor(core: Core, faults: number) {
    this.#core = core;
    this.#faults = faults;
  }

  running(): number {
    return this.#core.replicas.count('running');
  }

  /** Members in these roles and states: those of a version that may yet take over are none. */
  #members(roles: readonly Role[], states: readonly ReplicaState[]): number {
    const { group, replicas } = this.#core;
    let count = 0;
    for (const { replica, role } of group.members()) {
      const local = replicas.get(replica);
      if (local === undefined || local.faulty || !roles.includes(role)) continue;
      if (states.includes(stateOf(local))) count++;
    }
    return count;
  }

  /** Not those that have just become active, and sleep until the old ones have voted on what comes before. */
  asleep(): number {
    return this.#members(['passive'], ['suspended']);
  }

  /** Enough replicas run to answer requests. */
  answering(): boolean {
    return this.running() > this.#faults;
  }

  /** Whether requests are taken: from the first moment that it answers on. What comes in an outage later waits. */
  accepting(): boolean {
    return this.#accepting || this.answering();
  }

  /** f+1 replicas run, f+1 are suspended. */
  whole(): boolean {
    return this.answering() && this.asleep() > this.#faults;
  }

  /** All members are up and nothing is in doubt; a suspended one may be awake for a refresh. */
  calm(): boolean {
    return this.answering() && !this.#lost();
  }

  #lost(): boolean {
    const up = this.#members(['active', 'passive'], ['running', 'suspended']);
    return up < 2 * this.#faults + 2 || this.#core.group.suspicion !== null;
  }

  /** An incident. A replica that no role depends on yet, such as one of a new version, leaves the group whole. */
  broken(now: number): void {
    if (this.#lost()) this.#brokenAt ??= now;
  }

  /** To be called again and again. Answers how long the group was broken, once it is whole again. */
  clock(now: number): number | null {
    if (this.answering()) this.#accepting = true;
    if (this.#brokenAt === null || !this.whole()) return null;
    const lasted = now - this.#brokenAt;
    this.#brokenAt = null;
    return lasted;
  }
}
