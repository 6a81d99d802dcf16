/**
 * A manager's own coming and going: its boot, and what it does when the others took it for dead.
 *
 * W1. Who was dismissed has no replicas and decides nothing, until it boots again.
 * W2. It boots again only when nothing that it had decided can have been decided otherwise without it: the others had
 *     reported at least as much, or it took over a state of theirs (H2 in `catching-up.ts`).
 * W3. It boots again only with all that is before the last mark on its disk: the others may let go of the order so far, and
 *     whoever is in the view can go on with what it has itself.
 */
import type { Core } from './core.ts';
import type { Command } from './entry.ts';
import { index as toIndex, type Index, type ManagerId } from './ids.ts';

/** Out of the view: what it had decided by then, and the least that the others went on from. */
interface Away {
  readonly decided: Index;
  floor: Index;
}

export class Presence {
  readonly #core: Core;
  /** The manager is ready to run replicas. */
  #ready = false;
  #booted = false;
  #booting = false;
  #bootedAt = 0;
  /** When the group last changed. */
  #calmSince = 0;
  #away: Away | null = null;

  constructor(core: Core) {
    this.#core = core;
  }

  /** This run's own boot is ordered, and was not undone: there are replicas to take care of. */
  get booted(): boolean {
    return this.#booted;
  }

  get calmSince(): number {
    return this.#calmSince;
  }

  /** Whether a state of the others at this entry takes the place of one that is in doubt. */
  doubts(at: Index): boolean {
    return this.#away !== null && at >= this.#away.decided;
  }

  /** Some manager is not in the view: not booted yet, or taken for dead. */
  get missing(): boolean {
    const { alone, managers, options } = this.#core;
    return !alone && options.managers.some((manager) => !managers.has(manager));
  }

  recovered(first: Index, decided: Index, known: boolean): void {
    const { alone, managers, options, catchingUp } = this.#core;
    if (alone) return;
    if (known && decided >= 0 && !managers.has(options.manager)) this.#leave(decided, toIndex(-1));
    if (first > decided + 1) catchingUp.want(toIndex(first - 1));
  }

  #leave(decided: Index, floor: Index): void {
    if (this.#away === null) this.#away = { decided, floor };
    else if (floor < this.#away.floor) this.#away.floor = floor;
  }

  start(): void {
    this.#ready = true;
    this.boot();
  }

  /** Asks for its boot, as soon as W2 allows it. */
  boot(): void {
    const { replicas, catchingUp, agreement } = this.#core;
    if (!this.#ready || this.#booted || this.#booting || catchingUp.wanting) return;
    if (this.#away !== null) {
      if (this.#core.refreshing.behind) return;
      // While others still say how far they are.
      if (agreement.mode === 'reporting') return;
      if (this.#doubtful) return catchingUp.want(this.#away.decided);
    }
    this.#booting = true;
    this.#core.propose(replicas.bootCommand());
  }

  /** A state of the others is here. */
  stateTaken(at: Index): void {
    if (this.doubts(at)) this.#away = { decided: at, floor: at };
    this.boot();
  }

  commanded(now: number, at: Index, command: Command, own: boolean): void {
    const { managers, options } = this.#core;
    const { manager } = options;
    if (own && command.type === 'boot') this.#arrived(now, at);
    else if (command.type === 'boot' && managers.bootOf(manager) === at) {
      // An earlier life of it came back after what made it doubt.
      this.#away = null;
      this.#core.catchingUp.unwant();
    }
    if (command.type !== 'report' && command.type !== 'decide') this.#calmSince = now;
    if (this.#core.alone) return;
    if (command.type === 'dismiss' && command.manager === manager && !managers.has(manager)) {
      this.#dismissed();
    }
    this.#report();
    this.#noteFloor(command);
    this.boot();
  }

  /** Its own boot is ordered; it counts if nothing came in between (V3 in `membership.ts`). */
  #arrived(now: number, at: Index): void {
    const { managers, options } = this.#core;
    this.#booting = false;
    if (managers.bootOf(options.manager) !== at) return;
    this.#away = null;
    this.#booted = true;
    this.#bootedAt = now;
  }

  /** The others may have decided otherwise what it had decided. */
  get #doubtful(): boolean {
    return this.#away !== null && this.#away.decided > this.#away.floor;
  }

  #dismissed(): void {
    const { order, replicas } = this.#core;
    this.#leave(order.decided, order.decided);
    this.#booted = false;
    replicas.removeAll();
  }

  /** Others go on from the floor without this manager, as soon as they decide anything after it. */
  #noteFloor({ type }: Command): void {
    const { mode, floor } = this.#core.agreement;
    if (this.#away === null || floor >= this.#away.floor) return;
    const decides = type === 'decide' || type === 'skip';
    if (type === 'settle' || (mode === 'ordered' && decides)) this.#away.floor = floor;
  }

  /** Says by the order how far it had decided when the round began; from then on it decides nothing by itself. */
  #report(): void {
    const { agreement, said, order, options } = this.#core;
    if (!this.#booted || agreement.mode !== 'reporting' || said.reported === agreement.round) return;
    said.reported = agreement.round;
    const { round } = agreement;
    this.#core.propose({ type: 'report', manager: options.manager, round, decided: order.decided });
  }

  /** Another manager seems to be dead. */
  dismiss(manager: ManagerId): void {
    const { managers } = this.#core;
    if (this.#booted && managers.has(manager)) this.#dismiss(manager);
  }

  #dismiss(manager: ManagerId): void {
    const { managers, options } = this.#core;
    const by = options.manager;
    const [boot, byBoot] = [managers.bootOf(manager), managers.bootOf(by)];
    this.#core.propose({ type: 'dismiss', manager, boot, by, byBoot });
  }

  clock(now: number): void {
    if (this.#core.alone) return;
    this.boot();
    const { managers, options } = this.#core;
    if (!this.#booted || now - this.#bootedAt <= options.startTimeoutMs) return;
    for (const manager of options.managers) if (!managers.seen(manager)) this.#dismiss(manager);
  }
}
