/**
 * One run: hosts, order engine, network, clients and faults on one timeline, all from one seed. Safety is checked at every
 * step; liveness at the end, when messages flow again: every call has ended, and the group is whole.
 */
import type { Core } from '../src/core/core.ts';
import type { CoreOptions } from '../src/core/options.ts';
import type { Effect } from '../src/core/effect.ts';
import type { Event } from '../src/core/event.ts';
import { type Index, managerId, type ManagerId } from '../src/core/ids.ts';
import { NO_REFRESH } from '../src/core/testing/never.ts';
import { randomFrom } from '../src/core/testing/random.ts';
import { Checks } from './checks.ts';
import { Clients } from './clients.ts';
import { type Fault, Faults } from './faults.ts';
import { Host } from './host.ts';
import { Network } from './network.ts';
import { OrderEngine } from './order-engine.ts';
import type { Plan } from './scenarios.ts';
import { Timeline } from './timeline.ts';
import { promise } from './violation.ts';

const LEASE_MS = 300;
/** Faults are over by then, whatever the clients do. */
const HEAL_AT_MS = 6000;
const QUIET_WITHIN_MS = 60_000;
const LOOK_MS = 20;

export interface SimulationOptions {
  readonly faults: number;
  readonly managers: readonly ManagerId[];
  readonly core: Pick<
    CoreOptions,
    | 'deadline'
    | 'patience'
    | 'refresh'
    | 'requestTimeoutMs'
    | 'keysMax'
    | 'startTimeoutMs'
    | 'stateBytes'
    | 'updateBytes'
  >;
  readonly syncMs: () => number;
  readonly startMs: readonly [number, number];
  readonly fillMs: number;
  readonly stateMs: number;
  readonly diskMs: number;
  readonly calm: boolean;
}

export type Observed = Event | Effect | Fault;
/** Is shown everything that happens; a host, or null for what befalls the whole. */
export type Observer = (now: number, host: Host | null, what: Observed) => void;

export class Simulation {
  readonly timeline: Timeline = new Timeline();
  readonly options: SimulationOptions;
  readonly order: OrderEngine;
  readonly network: Network;
  readonly hosts: readonly Host[];
  readonly clients: Clients;
  readonly faults: Faults;
  readonly checks: Checks;
  readonly random: () => number;
  halted: string | null = null;
  healed = false;
  readonly #observer: Observer | null;
  readonly #downSince = new Map<Host, number>();

  constructor(seed: number, plan: Plan, observer: Observer | null = null) {
    this.#observer = observer;
    const stream = (number: number): (() => number) => randomFrom(seed * 16 + number);
    const random = stream(1);
    this.random = random;
    const managers = Array.from({ length: plan.managers }, (_, i) => managerId(`m${i}`));
    this.options = {
      faults: plan.faults,
      managers,
      core: coreOptions(plan),
      syncMs: () => 1 + random() * 6,
      startMs: plan.startMs,
      fillMs: plan.fillMs,
      stateMs: plan.stateMs,
      diskMs: plan.diskMs,
      calm: plan.calm,
    };
    const noise = { appendMs: () => random() * plan.appendMs, deliverMs: () => random() * 3 };
    this.order = new OrderEngine(this.timeline, plan.managers === 1, noise);
    const links = { delayMs: () => random() * plan.linkMs, lose: plan.lose, double: plan.double };
    this.network = new Network(this.timeline, stream(2), links);
    this.checks = new Checks(this);
    this.faults = new Faults(this, stream(3));
    this.clients = new Clients(this, plan.workload, stream(4));
    this.hosts = managers.map((id, number) => new Host(this, number, id));
    this.order.onCommit = (_, line): void => this.checks.decisions.ordered(line);
    for (const host of this.hosts) this.order.subscribe(host);
    this.faults.plan(plan.schedule);
  }

  observe(host: Host | null, what: Observed): void {
    this.#observer?.(this.timeline.now, host, what);
  }

  /** Throws a `Violation`. */
  run(): void {
    if (!this.order.embedded)
      this.order.append({ entry: { type: 'start', time: 10_000 }, kind: 'start', onIndex: null });
    for (const host of this.hosts) this.timeline.in(this.random() * 50, () => host.start());
    this.clients.start();
    this.#watch();
    let healedAt = Infinity;
    for (let lookAt = 0; ;) {
      this.timeline.step();
      const { now } = this.timeline;
      if (now < lookAt) continue;
      lookAt = now + LOOK_MS;
      if (!this.healed && ((this.clients.done && this.faults.pending === 0) || now > HEAL_AT_MS)) {
        this.#heal();
        healedAt = now;
      }
      if (this.healed && this.quiet) break;
      promise(this.halted === null, 'P5', () => `given up: ${this.halted}`);
      promise(now < healedAt + QUIET_WITHIN_MS, 'P5', () => `not quiet: ${this.#state()}`);
    }
    this.checks.finished();
  }

  /** Whoever is dead, or cut off from the order, loses its lease. */
  #watch(): void {
    const { now } = this.timeline;
    for (const host of this.hosts) {
      if (host.up && !host.cut) this.#downSince.delete(host);
      else if (!this.#downSince.has(host)) this.#downSince.set(host, now);
    }
    for (const [dead, since] of this.#downSince) {
      if (now - since < LEASE_MS) continue;
      for (const host of this.hosts) {
        if (host !== dead && host.up && !host.cut) host.tell({ type: 'peer-down', manager: dead.id });
      }
    }
    // Where a change on disk is not undone, a new version is what helps.
    for (const host of this.hosts)
      if (this.healed && host.pool.changed) host.tell({ type: 'deploy', variants: 1 });
    this.timeline.in(100, () => this.#watch());
  }

  #heal(): void {
    this.healed = true;
    Object.assign(this.network.noise, { lose: 0, double: 0 });
    for (const host of this.hosts) {
      while (this.network.isCut(host.number)) this.network.mend(host.number);
      host.cut = false;
      host.lagMs = 0;
      host.store.full = false;
      if (host.pool.changed && this.random() < 0.5) host.pool.unchange();
      if (!host.up) host.start();
    }
    this.order.up();
  }

  crash(host: Host): void {
    host.crash();
    if (!this.order.embedded) return;
    this.order.lose();
    this.checks.cut(this.order.head);
  }

  #host(id: ManagerId): Host {
    const host = this.hosts.find((host) => host.id === id);
    if (host === undefined) throw new Error(`there is no ${id}`);
    return host;
  }

  send(from: Host, to: ManagerId, event: Event): void {
    const host = this.#host(to);
    this.network.send(from.number, host.number, () => {
      if (host.up) host.tell(event);
    });
  }

  /** Asks another manager for bytes; `back` carries the answer. */
  ask(from: Host, to: ManagerId, answer: (other: Host, back: (deliver: () => void) => void) => void): void {
    const other = this.#host(to);
    const { life } = from;
    this.network.send(from.number, other.number, () => {
      if (!other.up) return;
      answer(other, (deliver) =>
        this.network.send(other.number, from.number, () => {
          if (from.life === life) deliver();
        }),
      );
    });
  }

  /** Whoever has seen most of the order. */
  get #foremost(): Core | null {
    let most: Core | null = null;
    for (const { core } of this.hosts)
      if (core !== null && core.order.head > (most?.order.head ?? -2)) most = core;
    return most;
  }

  /** Whether this life of a manager belongs to the view, as far as anybody knows. */
  isInView(manager: ManagerId, boot: Index): boolean {
    return this.#foremost?.managers.bootOf(manager) === boot;
  }

  /** The same of its present life. */
  takesPart({ id, core }: Host): boolean {
    if (core === null || this.order.embedded) return core !== null;
    return core.booted && this.isInView(id, core.managers.bootOf(id));
  }

  /** f+1 active and f+1 passive replicas, as every manager sees it, and none else. */
  get whole(): boolean {
    const { faults } = this.options;
    let [executing, suspended, all] = [0, 0, 0];
    for (const { core } of this.hosts) {
      if (core?.booted !== true || core.group.suspicion !== null || core.group.size !== 2 * faults + 2)
        return false;
      for (const { phase } of core.replicas.all()) {
        all++;
        if (phase === 'executing') executing++;
        else if (phase === 'suspended') suspended++;
      }
    }
    return executing === faults + 1 && suspended === faults + 1 && all === 2 * faults + 2;
  }

  get quiet(): boolean {
    if (!this.clients.done || !this.whole) return false;
    return this.hosts.every(({ core }) => {
      if (core === null) return false;
      const { order } = core;
      const head = this.order.head;
      return (
        order.head === head &&
        order.decided === head &&
        core.deciding.answered === head &&
        order.released === head
      );
    });
  }

  #state(): string {
    const hosts = this.hosts.map(({ id, core }) => {
      if (core === null) return `${id} down`;
      const { order, group, agreement, deciding } = core;
      const replicas = [...core.replicas.all()].map(
        ({ id, phase, faulty, owed }) => `${id} ${phase}${faulty ? ' faulty' : ''} owes ${owed.length}`,
      );
      return `${id} booted ${core.booted} head ${order.head} chosen ${order.chosen} decided ${order.decided} answered ${deciding.answered} released ${order.released} suspicion ${group.suspicion} size ${group.size} mode ${agreement.mode} floor ${agreement.floor} [${replicas.join('; ')}]`;
    });
    return [`head ${this.order.head}`, `clients done ${this.clients.done}`, ...hosts].join('\n  ');
  }
}

function coreOptions({ refreshEvery, stateBytes, limits }: Plan): SimulationOptions['core'] {
  return {
    ...limits,
    patience: { graceMs: 20, overtimeMs: 300 },
    refresh: {
      ...NO_REFRESH,
      entries: refreshEvery,
      ageMs: 1000,
      ordered: 2 * refreshEvery,
      checkpointBytes: 100 * refreshEvery,
    },
    keysMax: Math.ceil(refreshEvery / 2),
    stateBytes,
    updateBytes: 0,
  };
}
