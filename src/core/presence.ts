/**
 * A manager's own coming and going: its boot, and what it does when the others took it for dead.
 *
 * W1. Who is not in the view, not yet or not any more, has no replicas, and answers nothing.
 * W2. It boots only when nothing that it has decided can have been decided otherwise without it: the others had
 *     reported at least as much, or it took over a state of theirs (H2 in `catching-up.ts`).
 * W3. It boots only with all that is before the last mark on its disk: the others may let go of the order so far, and
 *     whoever is in the view can go on with what it has itself. The same goes for a state that it took over: a crash after
 *     the boot would bring back what that replaced, and nobody would doubt it.
 */
import type { Core } from './core.ts';
import type { Command } from './entry.ts';
import { index as toIndex, type Index, type ManagerId } from './ids.ts';

/** Out of the view. What it decided up to `doubtful` may have been decided otherwise; null: nothing may. */
interface Away {
  doubtful: Index | null;
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
  /** The last round of reports whose floor was compared with what is decided here. */
  #compared = toIndex(-1);

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
    return this.#away !== null && at >= (this.#away.doubtful ?? 0);
  }

  /** Some manager is not in the view: not booted yet, or taken for dead. */
  get missing(): boolean {
    const { alone, managers, options } = this.#core;
    return !alone && options.managers.some((manager) => !managers.has(manager));
  }

  recovered(first: Index, decided: Index, known: boolean): void {
    const { alone, managers, options, catchingUp } = this.#core;
    if (alone) return;
    // Where the order is whole, it says what became of its earlier lives.
    const away = decided < 0 || known;
    if (away && !managers.has(options.manager)) this.#away = { doubtful: decided < 0 ? null : decided };
    if (first > decided + 1) catchingUp.want(toIndex(first - 1));
  }

  start(): void {
    this.#ready = true;
    this.boot();
  }

  /** Asks for its boot, as soon as W2 allows it. */
  boot(): void {
    const { replicas, catchingUp, agreement, order, refreshing } = this.#core;
    if (!this.#ready || this.#booted || this.#booting || catchingUp.wanting) return;
    if (this.#away !== null) {
      if (refreshing.behind || catchingUp.keeping) return;
      // While others still say how far they are.
      if (agreement.mode === 'reporting' && order.decided >= 0) return;
      if (this.#away.doubtful !== null) return catchingUp.want(this.#away.doubtful);
    }
    this.#booting = true;
    this.#core.propose(replicas.bootCommand());
  }

  /** A state of the others is here. */
  stateTaken(at: Index): void {
    if (this.doubts(at)) this.#away = { doubtful: null };
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
    this.#compare(command);
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

  #dismissed(): void {
    this.#away ??= { doubtful: null };
    this.#booted = false;
    this.#core.replicas.removeAll();
  }

  /** As soon as the others decide anything after a floor, what was decided here beyond it is in doubt. */
  #compare({ type }: Command): void {
    const { agreement, order } = this.#core;
    const { mode, floor, round } = agreement;
    const decides = type === 'settle' || (mode === 'ordered' && (type === 'decide' || type === 'skip'));
    if (this.#away === null || !decides || round === this.#compared) return;
    this.#compared = round;
    if (floor < order.decided) this.#away.doubtful = order.decided;
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
