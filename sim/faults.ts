/**
 * Faults as data: a schedule made from the seed before the run begins, so that one can be left out and the rest still
 * happens. What a fault hits is picked when it happens, from what is there then.
 *
 * F1. At most f replicas lie at a time, and as many as a decision takes stay sound: what is broken or down counts until the
 *     group is whole again without it.
 */
import type { Event } from '../src/core/event.ts';
import { digest, type ReplicaId } from '../src/core/ids.ts';
import { isTooSlow } from '../src/core/patience.ts';
import type { Behaviour, Lie, Replica } from '../src/core/testing/replica.ts';
import type { Host } from './host.ts';
import type { Simulation } from './simulation.ts';

export const LIES = ['reply', 'update', 'digest', 'export', 'collude', 'stale', 'future', 'flood'] as const;
export const FAILURES = ['crash', 'hang', 'slow', 'lag'] as const;
/** It says something that it was not asked for, at this moment. */
export const BREACHES = ['unasked'] as const;
/** Its start fails. It is slow until that counts, and answers a little after others from then on. */
export const SELDOM = ['no-start', 'dawdle'] as const;
export type Way = (typeof LIES | typeof FAILURES | typeof BREACHES | typeof SELDOM)[number];

export const TIMES = ['always', 'once', 'woken', 'other-down'] as const;
export type When = (typeof TIMES)[number];

/** `pick` in [0, 1): which one of those there are. */
export type Fault =
  /** `young`: one that was just started, if there is any. */
  | {
      readonly type: 'replica';
      readonly pick: number;
      readonly way: Way;
      readonly when: When;
      readonly young: boolean;
    }
  | { readonly type: 'host-crash'; readonly pick: number; readonly ms: number }
  | { readonly type: 'restart-all'; readonly ms: number }
  | { readonly type: 'partition'; readonly pick: number; readonly ms: number }
  | { readonly type: 'order-cut'; readonly pick: number; readonly ms: number }
  | { readonly type: 'order-lag'; readonly pick: number; readonly ms: number; readonly lagMs: number }
  | { readonly type: 'order-down'; readonly ms: number }
  | {
      readonly type: 'noise';
      readonly ms: number;
      readonly lose: number;
      readonly double: number;
      readonly delayMs: number;
    }
  | { readonly type: 'false-alarm'; readonly pick: number; readonly about: number }
  | { readonly type: 'skew'; readonly pick: number; readonly ms: number }
  | { readonly type: 'standstill'; readonly pick: number; readonly ms: number }
  /** No fault, but what happens to any replica now and then. */
  | { readonly type: 'rotate'; readonly pick: number }
  /** The same, asked for until the replica is gone, as the manager does. */
  | { readonly type: 'recover'; readonly pick: number }
  /** Not a fault: a new version is to take over. */
  | { readonly type: 'deploy'; readonly variants: number }
  /** The service on disk is not what was accepted any more: no replica starts but of a new version. */
  | { readonly type: 'changed' }
  | { readonly type: 'disk-full'; readonly pick: number; readonly ms: number };

export interface Planned {
  readonly at: number;
  readonly fault: Fault;
}

export function pickFrom<T>(list: readonly T[], pick: number): T | undefined {
  return list[Math.floor(pick * list.length)];
}

const ASK_AGAIN_MS = 10;

interface Broken {
  readonly way: Way;
  readonly when: When;
  lies: number;
}

export class Faults {
  readonly #sim: Simulation;
  readonly #random: () => number;
  readonly #broken = new Map<ReplicaId, Broken>();
  /** Went with their host. */
  readonly #down = new Set<ReplicaId>();
  readonly #everBroken = new Map<ReplicaId, Way>();
  readonly #gone = new Set<ReplicaId>();
  /** Faults on their way to be undone. */
  pending = 0;
  /** At some time sound replicas could not start, because the service on disk had changed. */
  keptFromStarting = false;

  constructor(sim: Simulation, random: () => number) {
    this.#sim = sim;
    this.#random = random;
  }

  plan(schedule: readonly Planned[]): void {
    for (const { at, fault } of schedule) {
      this.pending++;
      this.#sim.timeline.at(at, () => {
        this.pending--;
        this.#strike(fault);
      });
    }
  }

  /** A sound replica, each a little different. */
  behaviour(_id: ReplicaId): Behaviour {
    const [least, most] = this.#sim.options.startMs;
    const dice = this.#random();
    const startMs = most > 10 * least ? least * (most / least) ** dice : least + dice * (most - least);
    const workMs = this.#random() < 0.5 ? 0 : this.#random() * 4;
    const { fillMs, stateMs, core } = this.#sim.options;
    return {
      startMs,
      workMs,
      fillMs,
      stateMs,
      stateBytes: core.stateBytes,
      failsToStart: false,
      failsToFill: false,
      hung: false,
      lie: null,
    };
  }

  /** Whether something was done to it, ever. */
  isBroken(id: ReplicaId): boolean {
    return this.#everBroken.has(id);
  }

  get everBroken(): number {
    return this.#everBroken.size;
  }

  /** Some replica exported a wrong state: which one of several it was, nobody can tell. */
  get exportsLie(): boolean {
    return [...this.#everBroken.values()].some((way) => way === 'export' || way === 'unasked');
  }

  gone(id: ReplicaId): void {
    this.#gone.add(id);
  }

  /** Once the group is whole again, what is gone is repaired. */
  #repaired(): void {
    if ((this.#broken.size === 0 && this.#down.size === 0) || !this.#sim.whole) return;
    for (const id of this.#broken.keys()) if (this.#gone.has(id)) this.#broken.delete(id);
    this.#down.clear();
  }

  /** How many more may fail so that f+1 sound ones stay. */
  #left(): number {
    this.#repaired();
    return this.#sim.options.faults + 1 - this.#broken.size - this.#down.size;
  }

  beforeWork(host: Host, replica: Replica): void {
    const broken = this.#broken.get(replica.id);
    if (broken === undefined) return;
    const { behaviour } = replica;
    const local = host.core?.replicas.get(replica.id);
    if (broken.way === 'dawdle' && local !== undefined && isTooSlow(local)) behaviour.workMs = 8;
    if (!isLie(broken.way)) return;
    const before = behaviour.lie !== null;
    behaviour.lie = this.#lies(host, replica, broken) ? broken.way : null;
    if (behaviour.lie !== null && !before) broken.lies++;
  }

  #lies({ core }: Host, { id, executes }: Replica, { when, lies }: Broken): boolean {
    switch (when) {
      case 'always':
        return true;
      case 'once':
        return lies === 0 && executes;
      case 'woken':
        return core?.replicas.get(id)?.woken === true;
      case 'other-down':
        return this.#broken.size + this.#down.size > 1 || this.#gone.size > 0;
    }
  }

  #strike(fault: Fault): void {
    const { hosts, network, order } = this.#sim;
    const up = hosts.filter((host) => host.up);
    this.#sim.observe(null, fault);
    switch (fault.type) {
      case 'replica':
        return this.#breakReplica(fault);
      case 'host-crash': {
        const host = pickFrom(up, fault.pick);
        if (host === undefined || host.replicas.size > this.#left()) return;
        return this.#crash([host], fault.ms);
      }
      case 'restart-all':
        return this.#crash(up, fault.ms);
      case 'partition':
        return this.#for(
          fault.ms,
          pickFrom(hosts, fault.pick),
          (host) => network.cut(host.number),
          (host) => network.mend(host.number),
        );
      case 'order-cut':
        return this.#for(
          order.embedded ? 0 : fault.ms,
          pickFrom(hosts, fault.pick),
          (host) => (host.cut = !order.embedded),
          (host) => {
            host.cut = false;
            host.notify();
          },
        );
      case 'order-lag':
        return this.#for(
          order.embedded ? 0 : fault.ms,
          pickFrom(hosts, fault.pick),
          (host) => (host.lagMs = order.embedded ? 0 : fault.lagMs),
          (host) => (host.lagMs = 0),
        );
      case 'order-down':
        if (order.embedded || order.down) return;
        return this.#for(
          fault.ms,
          hosts[0],
          () => (order.down = true),
          () => order.up(),
        );
      case 'noise': {
        const { lose, double, delayMs } = fault;
        const before = { ...network.noise };
        const noise = { lose, double, delayMs: (): number => this.#random() * delayMs };
        return this.#for(
          fault.ms,
          hosts[0],
          () => Object.assign(network.noise, noise),
          () => Object.assign(network.noise, before),
        );
      }
      case 'false-alarm': {
        const host = pickFrom(up, fault.pick);
        const about = pickFrom(hosts, fault.about);
        if (about === undefined || about === host || about.replicas.size > this.#left()) return;
        for (const id of about.replicas.keys()) this.#down.add(id);
        return host?.tell({ type: 'peer-down', manager: about.id });
      }
      case 'skew': {
        const host = pickFrom(hosts, fault.pick);
        if (host !== undefined) host.skewMs = fault.ms;
        return;
      }
      case 'rotate': {
        const places = hosts.flatMap((host) =>
          [...host.replicas.keys()].map((replica) => ({ host, replica })),
        );
        const place = pickFrom(places, fault.pick);
        return place?.host.tell({ type: 'rotate', replica: place.replica });
      }
      case 'recover': {
        const host = pickFrom(up, fault.pick);
        const replica = pickFrom([...(host?.replicas.keys() ?? [])], fault.pick);
        return host === undefined || replica === undefined
          ? undefined
          : this.#recover(host, replica, host.life);
      }
      case 'standstill':
        return pickFrom(up, fault.pick)?.standStill(fault.ms);
      case 'deploy':
        return hosts[0]?.tell({ type: 'deploy', variants: fault.variants });
      case 'changed':
        this.keptFromStarting = true;
        return hosts[0]?.pool.change();
      case 'disk-full':
        return this.#for(
          fault.ms,
          pickFrom(hosts, fault.pick),
          (host) => (host.store.full = true),
          (host) => (host.store.full = false),
        );
    }
  }

  #recover(host: Host, replica: ReplicaId, life: number): void {
    if (host.life !== life || !host.replicas.has(replica)) return;
    host.tell({ type: 'rotate', replica });
    this.#sim.timeline.in(ASK_AGAIN_MS, () => this.#recover(host, replica, life));
  }

  #for(ms: number, host: Host | undefined, begin: (host: Host) => void, end: (host: Host) => void): void {
    if (host === undefined) return;
    begin(host);
    this.pending++;
    this.#sim.timeline.in(ms, () => {
      this.pending--;
      end(host);
    });
  }

  #crash(hosts: readonly Host[], ms: number): void {
    for (const host of hosts) {
      for (const id of host.replicas.keys()) {
        this.#down.add(id);
        this.#broken.delete(id);
      }
      this.#sim.crash(host);
    }
    this.pending++;
    this.#sim.timeline.in(ms, () => {
      this.pending--;
      for (const host of hosts)
        if (!host.up) this.#sim.timeline.in(this.#random() * 100, () => host.up || host.start());
    });
  }

  #breakReplica({ pick, way, when, young }: Extract<Fault, { type: 'replica' }>): void {
    const { hosts, options } = this.#sim;
    const places = hosts
      .flatMap((host) => [...host.replicas.values()].map((replica) => ({ host, replica })))
      .filter(({ replica: { id, ended } }) => !ended && !this.#broken.has(id) && !this.#down.has(id));
    const starting = young ? places.filter(({ replica }) => isStarting(replica)) : [];
    const place = pickFrom(starting.length > 0 ? starting : places, pick);
    if (place === undefined || this.#left() < 1 || this.#broken.size >= options.faults) return;
    const { host, replica } = place;
    this.#everBroken.set(replica.id, way);
    this.#broken.set(replica.id, { way, when, lies: 0 });
    if (way === 'crash') host.pool.crash(replica);
    else if (way === 'hang') replica.behaviour.hung = true;
    else if (way === 'slow') Object.assign(replica.behaviour, { workMs: 300, fillMs: 900 + 300 * pick });
    else if (way === 'no-start') replica.behaviour.failsToStart = true;
    else if (way === 'lag' || way === 'dawdle') replica.behaviour.workMs = 40;
    else if (way === 'unasked') host.tell(unasked(replica.id, this.#random()));
  }
}

/** It has not been of use yet. */
function isStarting({ executes, suspended }: Replica): boolean {
  return !executes && !suspended;
}

function unasked(replica: ReplicaId, dice: number): Event {
  const said = { replica, digest: digest('unasked') };
  return dice < 0.5 ? { type: 'digest', ...said, stateBytes: 0 } : { type: 'exported', ...said };
}

function isLie(way: Way): way is Lie & Way {
  return (LIES as readonly string[]).includes(way);
}
