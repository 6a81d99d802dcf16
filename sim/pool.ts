/** The replicas of one host, and what they are sent: updates from memory as far as it goes back, else from the disk. */
import type { Effect } from '../src/core/effect.ts';
import type { Event } from '../src/core/event.ts';
import type { ReplicaId } from '../src/core/ids.ts';
import { Replica } from '../src/core/testing/replica.ts';
import type { Update } from '../src/core/testing/service.ts';
import type { Host } from './host.ts';

export class Pool {
  readonly replicas: Map<ReplicaId, Replica> = new Map();
  readonly #host: Host;
  /** Updates that some passive replica may still need. */
  readonly #recent = new Map<number, Update>();
  /** What the disk takes for the next state that is exported. */
  #diskMs = 0;
  /** The service on disk is not that of this version, or of an earlier one. */
  #changed = -1;
  readonly #scheduled = new Map<ReplicaId, number>();

  constructor(host: Host) {
    this.#host = host;
  }

  /** The manager has started: what was decided before is on its disk only. */
  started(): void {
    this.#recent.clear();
    this.#diskMs = this.#host.sim.options.diskMs;
    this.#changed = -1;
  }

  change(): void {
    this.#changed = this.#host.core?.succession.version ?? -1;
  }

  /** No replica of the version that runs can start. */
  get changed(): boolean {
    return this.#changed >= 0 && this.#changed === this.#host.core?.succession.version;
  }

  unchange(): void {
    this.#changed = -1;
    this.#host.tell({ type: 'startable' });
  }

  clear(): void {
    this.replicas.clear();
    this.#scheduled.clear();
  }

  recorded(index: number, update: Update | null): void {
    if (update !== null) this.#recent.set(index, update);
  }

  trim(through: number): void {
    this.#host.store.trim(through);
    for (const at of this.#recent.keys()) if (at <= through) this.#recent.delete(at);
  }

  /** From memory as far as it goes back, older ones from the disk. */
  #updates(from: number, through: number): Update[] {
    if (from <= this.#host.store.trimmed) return this.#host.store.updates(from, through);
    return [...this.#recent].flatMap(([at, update]) => (at >= from && at <= through ? [update] : []));
  }

  drive(effect: Extract<Effect, { replica: ReplicaId }>): void {
    if (effect.type === 'start') this.#startReplica(effect);
    const replica = this.replicas.get(effect.replica);
    if (replica === undefined) return;
    const { now } = this.#host.sim.timeline;
    switch (effect.type) {
      case 'start':
        break;
      case 'stop':
        this.replicas.delete(replica.id);
        this.#host.sim.faults.gone(replica.id);
        return;
      case 'suspend':
      case 'resume':
        replica.suspended = effect.type === 'suspend';
        break;
      case 'execute': {
        const { index, time, tickFrom } = effect;
        const kind = this.#host.sim.order.lines[index]?.kind ?? 'command';
        replica.send(now, { type: 'execute', job: { index, kind, time, tickFrom } });
        break;
      }
      case 'apply': {
        const updates = this.#updates(effect.from, effect.through);
        replica.send(now, { type: 'apply', updates, through: effect.through });
        break;
      }
      case 'import': {
        const state = this.#host.store.state(effect.through);
        replica.send(now, { type: 'import', state, through: effect.through });
        break;
      }
      case 'digest':
        replica.send(now, { type: 'digest' });
        break;
      case 'export':
        replica.send(now, { type: 'export' });
        break;
    }
    this.#schedule(replica);
  }

  #startReplica({ replica: id, variant, version }: Extract<Effect, { type: 'start' }>): void {
    const replica = new Replica(id, variant, this.#host.sim.faults.behaviour(id));
    replica.behaviour.failsToStart = version <= this.#changed;
    this.replicas.set(id, replica);
    const time = this.#host.sim.order.lines[0]?.entry.time ?? 0;
    replica.send(this.#host.sim.timeline.now, {
      type: 'start',
      job: { index: 0, kind: 'start', time, tickFrom: 0 },
    });
  }

  /** Plans the next work of a replica. */
  #schedule(replica: Replica): void {
    const { dueAt } = replica;
    if (dueAt === null || this.#scheduled.get(replica.id) === dueAt) return;
    this.#scheduled.set(replica.id, dueAt);
    const { life } = this.#host;
    this.#host.sim.timeline.at(dueAt, () => {
      if (this.#host.life !== life || this.replicas.get(replica.id) !== replica) return;
      if (this.#scheduled.get(replica.id) === dueAt) this.#scheduled.delete(replica.id);
      this.#work(replica);
      this.#schedule(replica);
    });
  }

  #work(replica: Replica): void {
    this.#host.sim.faults.beforeWork(this.#host, replica);
    const events = replica.work(this.#host.sim.timeline.now);
    if (events === null) return;
    if (this.#diskMs > 0 && events.some(({ type }) => type === 'exported')) this.#stall(replica, events);
    else this.#say(replica, events);
  }

  #stall(replica: Replica, exported: readonly Event[]): void {
    const { life, sim } = this.#host;
    this.#pause(replica, true);
    sim.timeline.in(this.#diskMs, () => {
      if (this.#host.life !== life || this.replicas.get(replica.id) !== replica) return;
      this.#pause(replica, false);
      this.#say(replica, exported);
      this.#schedule(replica);
    });
    this.#diskMs = 0;
  }

  #pause(replica: Replica, paused: boolean): void {
    replica.paused = paused;
    this.#host.tell({ type: 'paused', replica: replica.id, paused });
  }

  #say(replica: Replica, events: readonly Event[]): void {
    for (const event of events) {
      if (event.type === 'vote') {
        this.#host.keep(event.index, replica.produced);
        this.#host.sim.checks.cast(this.#host, event.replica, event.index, event.vote);
      }
      if (event.type === 'digest') this.#host.sim.checks.digested(this.#host, replica);
      this.#host.tell(event);
    }
    this.#host.sim.checks.worked(this.#host, replica);
  }

  crash(replica: Replica): void {
    for (const event of replica.crash()) this.#host.tell(event);
  }
}
