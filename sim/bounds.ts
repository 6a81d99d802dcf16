/**
 * What may take only so long, and happen only so often, where one manager has a service that is sound: nobody waits for long while
 * f+1 could answer, and what fails costs no more than it must. Knows what was done to the replicas; nothing of scenarios.
 */
import type { Core } from '../src/core/core.ts';
import type { Effect } from '../src/core/effect.ts';
import type { Event } from '../src/core/event.ts';
import type { Local } from '../src/core/local.ts';
import type { Host } from './host.ts';
import type { Simulation } from './simulation.ts';
import { promise } from './violation.ts';

/** Of a vote that lags nothing is said for as long as the deadline; and it takes a while to bring those up to date that are woken. */
const SLACK_MS = 400;
/** Who is slow with each entry, but never silent for long, counts as lagging after that time. */
const OVERTIME_MS = 1000;
/** So much longer than others may an active one take to start before these answer in its place. */
const START_LONGER_MS = 2000;

export class Bounds {
  readonly #sim: Simulation;
  #suspicions = 0;
  #isSuspected = false;
  #starts = 0;
  #rotations = 0;
  /** Groups that were started: at a boot, or as a new version. */
  #groups = 0;
  /** Since when, by the manager's clock, f+1 sound ones could answer what is next. */
  #servableAt = 0;
  /** When an active one was last starting. */
  #startingAt = 0;

  constructor(sim: Simulation) {
    this.#sim = sim;
  }

  stepped(host: Host, core: Core, event: Event, effects: readonly Effect[]): void {
    const isSuspected = core.group.suspicion !== null;
    if (isSuspected && !this.#isSuspected) this.#suspicions++;
    this.#isSuspected = isSuspected;
    if (event.type === 'boot' || event.type === 'deploy') this.#groups++;
    if (event.type === 'recovered') [this.#servableAt, this.#startingAt, this.#isSuspected] = [0, 0, false];
    for (const { type } of effects) if (type === 'start') this.#starts++;
    if (event.type === 'ordered' && event.entry.type === 'command')
      if (event.entry.command.type === 'rotate') this.#rotations++;
    if (event.type === 'clock') this.#wait(host, core);
  }

  /** All that goes wrong is the replicas' own doing. */
  get #applies(): boolean {
    const { checks, faults, order } = this.#sim;
    const { harmless, certain } = checks.decisions;
    return order.embedded && harmless && certain && !faults.keptFromStarting;
  }

  #wait({ nowMs }: Host, core: Core): void {
    const { next } = core.order;
    const locals = [...core.replicas.all()];
    const free = locals.filter((local) => this.#isFree(core, local));
    if (next === undefined || free.length < core.quorum) {
      this.#servableAt = nowMs;
      return;
    }
    if (!this.#applies) return;
    const { deadline } = this.#sim.options.core;
    const starting = locals.some((local) => isStarting(local) && core.group.get(local.id)?.role === 'active');
    const counted = locals.some(({ overtimeMs }) => overtimeMs > 0);
    const startMs = Math.max(START_LONGER_MS, ...free.map(({ startedAt, since }) => since - startedAt));
    const most = SLACK_MS + (starting ? startMs : deadline.ceilingMs) + (counted ? OVERTIME_MS : 0);
    const beganAt = Math.max(this.#servableAt, core.deciding.decidedAt, next.orderedAt);
    const waitMs = nowMs - Math.max(beganAt, starting ? 0 : this.#startingAt);
    if (starting) this.#startingAt = nowMs;
    promise(waitMs <= most, 'P5', () => `${next.index} waits for ${waitMs} ms, and f+1 could answer`);
  }

  #isFree({ group }: Core, { id, phase, owed, filling, faulty }: Local): boolean {
    if (faulty || group.get(id) === undefined || this.#sim.faults.isBroken(id)) return false;
    if (phase === 'suspended') return true;
    return phase === 'executing' && !filling && owed.every((each) => each.type === 'result' && !each.void);
  }

  /** Once all is quiet. */
  finished(): void {
    if (!this.#applies) return;
    const { faults, options } = this.#sim;
    const broken = faults.everBroken;
    const size = 2 * options.faults + 2;
    const suspicions = this.#groups + broken;
    promise(
      this.#suspicions <= suspicions,
      'P6',
      () => `${this.#suspicions} suspicions, ${broken} replicas failed`,
    );
    // Who was woken for a suspicion, and is not needed, is replaced.
    const starts = size * this.#groups + (size / 2) * this.#suspicions + broken + this.#rotations;
    promise(this.#starts <= starts, 'P6', () => `${this.#starts} starts, and ${starts} were called for`);
  }
}

function isStarting({ phase }: Local): boolean {
  return phase === 'starting' || phase === 'joining';
}
