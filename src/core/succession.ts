/**
 * A new version of the service takes the place of the one that runs (a deploy), and no entry is voted on by both.
 *
 * A second group is started beside the first one: 2f+2 clean replicas of the new version, one after another. Each is given the
 * verified state, confirms it and sleeps; none is a member. Once all sleep, `succeed` is ordered. What comes before it the old
 * active replicas execute, what comes after it the new active ones, as soon as everything before is decided. Then the old ones
 * are destroyed. Where too few of these are left to end a suspicion, they leave at once, and the new ones execute all that is
 * undecided. When one of the new ones fails before that is asked for, all of them are, and the old group goes on; one that
 * fails later is a faulty member like any other.
 *
 * Only where there is one manager; several would have to know of each other that they have the new version.
 *
 * S1. A replica of a new version executes nothing, and is no member, before `succeed`; no entry is decided by votes of both
 *     versions together, also when a suspicion comes between and the new ones execute what the old ones have begun.
 * S2. Either all of the new ones take over at one entry, or none ever does.
 * S3. Once they are asked for, none of the new ones is woken until the order has said yes or no.
 */
import type { Core } from './core.ts';
import type { Command, Member } from './entry.ts';
import type { Local } from './local.ts';
import { bootShare } from './placement.ts';

interface Planned {
  readonly variants: number;
  readonly members: readonly Member[];
  /** `succeed` is on its way. */
  asked: boolean;
}

export class Succession {
  readonly #core: Core;
  /** How many successions there were in this manager's life: replicas that are started now are of this version. */
  #version = 0;
  #planned: Planned | null = null;

  constructor(core: Core) {
    this.#core = core;
  }

  get version(): number {
    return this.#version;
  }

  /** All of the new ones sleep, and do so until the order says whether they take over. */
  get asked(): boolean {
    return this.#planned?.asked === true;
  }

  /** Of a version that has not taken over. */
  isSuccessor(local: Local): boolean {
    return local.version > this.#version;
  }

  begin(now: number, variants: number): void {
    const { alone, booted, options, replicas } = this.#core;
    if (!alone || !booted || this.#planned !== null) return;
    this.#planned = {
      variants,
      members: bootShare({ ...options, variants }, () => replicas.newId()),
      asked: false,
    };
    this.supervise(now);
  }

  /** Starts the next one, or asks for the succession when all of them sleep. */
  supervise(now: number): void {
    const { group, replicas } = this.#core;
    if (this.#planned === null || this.#planned.asked) return;
    for (const { replica, variant } of this.#planned.members) {
      const phase = replicas.get(replica)?.phase;
      if (phase === undefined) return replicas.start(now, replica, variant, this.#version + 1);
      if (phase !== 'suspended') return;
    }
    if (!group.succeedable) return;
    this.#planned.asked = true;
    this.#core.propose({ type: 'succeed', members: this.#planned.members });
  }

  /** The command was ordered, and has had its effect if the new ones are members now. */
  ordered({ members }: Extract<Command, { type: 'succeed' }>): void {
    const { group, replicas } = this.#core;
    if (this.#planned === null || !this.asked) return;
    const lost = members.filter(({ replica }) => replicas.get(replica) === undefined);
    if (members.every(({ replica }) => group.get(replica) !== undefined)) {
      const { variants } = this.#planned;
      this.#planned = null;
      this.#version++;
      replicas.succeeded(variants, members);
      for (const { replica } of lost) replicas.expelLost(replica);
      return this.#core.emit({ type: 'succeeded', version: this.#version });
    }
    this.#planned.asked = false;
    if (lost.length > 0) this.#giveUp();
  }

  /** One of the new ones is faulty, and is gone. */
  failed(): void {
    // The order says whether it is a member: it may be already.
    if (!this.asked) this.#giveUp();
  }

  #giveUp(): void {
    const { replicas } = this.#core;
    this.#planned = null;
    for (const local of replicas.all()) if (this.isSuccessor(local)) replicas.remove(local);
    this.#core.emit({ type: 'succession-failed' });
  }
}
