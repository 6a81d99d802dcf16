/**
 * Test support: a deterministic world around one real core. It orders what is appended, keeps what is recorded, runs the
 * scripted replicas, moves the clock, can kill everything and start again from its disk; `checks.ts` watches every effect.
 */
import { Core } from '../core.ts';
import type { CoreOptions } from '../options.ts';
import type { Effect } from '../effect.ts';
import type { Command, Key } from '../entry.ts';
import type { Event } from '../event.ts';
import type { Fault } from '../fault.ts';
import { assert, index as toIndex, managerId, type ReplicaId } from '../ids.ts';
import { Checks } from './checks.ts';
import { Disk, type Stored } from './disk.ts';
import { Fleet } from './fleet.ts';
import { NO_REFRESH } from './never.ts';
import type { Behaviour, Replica } from './replica.ts';
import type { Kind } from './service.ts';
import { Truth } from './truth.ts';

export const CLOCK_MS = 10;
const TICK_MS = 1000;
const KEYS_MAX = 1000;

export interface WorldOptions {
  readonly faults: number;
  readonly core?: Partial<CoreOptions>;
  /** What a replica is like from its start on, where it differs from a sound one. */
  readonly behaviour?: (id: ReplicaId, variant: number) => Partial<Behaviour>;
  /** How long an append is on its way, milliseconds; 0: ordered before anything else happens. */
  readonly appendMs?: () => number;
  readonly random?: () => number;
}

/** A client's request. */
export interface Ticket {
  index: number;
  outcome: string | null;
}

/** So many events without time passing are an endless loop. */
const EVENTS_MAX = 20_000;

export class World {
  readonly options: WorldOptions;
  now = 1000;
  core: Core;
  disk: Disk = new Disk();
  readonly truth: Truth;
  tickets: Ticket[] = [];
  readonly incidents: Fault[] = [];
  /** All effects of this run of the manager. */
  trace: Effect[] = [];
  halted: string | null = null;
  /** While set, nothing becomes durable. */
  diskStuck = false;
  #fleet: Fleet;
  #checks: Checks;
  #events: Event[] = [];
  #handling = false;
  #appends: { readonly at: number; readonly stored: Stored; readonly ticket: Ticket | null }[] = [];
  #asked = new Map<number, Ticket>();
  #durableTold = -1;
  #checkpointing: number[] = [];
  #tickUnderWay = false;
  #eventsNow = 0;

  constructor(options: WorldOptions) {
    this.options = options;
    this.truth = new Truth(options.core?.keysMax ?? KEYS_MAX);
    this.#fleet = this.#newFleet();
    this.core = this.#newCore();
    this.#checks = new Checks(this);
    this.#append({ entry: { type: 'start', time: this.now }, kind: 'start' }, null);
    this.tell({ type: 'boot' });
  }

  get replicas(): ReadonlyMap<ReplicaId, Replica> {
    return this.#fleet.replicas;
  }

  #newFleet(): Fleet {
    return new Fleet(this.disk, this.options.behaviour ?? ((): Partial<Behaviour> => ({})));
  }

  #newCore(): Core {
    return new Core({
      faults: this.options.faults,
      manager: managerId('m0'),
      managers: [managerId('m0')],
      variants: 2 * this.options.faults + 2,
      firstReplica: this.disk.nextReplica,
      deadline: { floorMs: 50, ceilingMs: 200, factor: 20 },
      patience: { graceMs: 50, overtimeMs: 500 },
      refresh: NO_REFRESH,
      requestTimeoutMs: 2000,
      keysMax: KEYS_MAX,
      startTimeoutMs: 3000,
      stateBytes: 0,
      updateBytes: 0,
      ...this.options.core,
    });
  }

  /** Kills everything at once, and starts again from what is durable. */
  kill(torn = 0): void {
    this.disk = this.disk.recovered(torn);
    this.truth.cut(this.disk.last);
    this.#fleet = this.#newFleet();
    this.#events = [];
    this.#appends = [];
    // A client is still asking where the request survived and its result did not, so that the test sees the answer.
    for (const at of this.#asked.keys())
      if (at > this.disk.last || at <= this.disk.decided) this.#asked.delete(at);
    this.tickets = this.tickets.filter(({ index, outcome }) => outcome !== null || this.#asked.has(index));
    this.#checkpointing = [];
    this.trace = [];
    this.#tickUnderWay = false;
    this.#durableTold = this.disk.last;
    this.core = this.#newCore();
    this.#checks = new Checks(this, this.#checks);
    const { first, decided, time, tick } = this.disk;
    const keys = this.disk.keysBefore(first);
    this.tell({
      type: 'recovered',
      decided: toIndex(decided),
      first: toIndex(first),
      keys,
      skips: [...this.disk.skips].map(([at, reason]) => ({ index: toIndex(at), reason })),
      tick,
      time,
      state: null,
    });
    for (const [at, { entry }] of this.disk.entries)
      if (at >= first) this.tell({ type: 'ordered', index: toIndex(at), entry });
    this.tell({ type: 'durable', index: toIndex(this.disk.last) });
    if (this.disk.last < 0) this.#append({ entry: { type: 'start', time: this.now }, kind: 'start' }, null);
    this.tell({ type: 'boot' });
  }

  request(kind: Kind = 'write', key: Key | null = null): Ticket {
    const ticket: Ticket = { index: -1, outcome: null };
    this.tickets.push(ticket);
    this.#append({ entry: { type: 'request', time: this.now, key, bytes: 1 }, kind }, ticket);
    return ticket;
  }

  /** Orders a command, as the core or another manager may have asked for it. */
  command(command: Command): void {
    this.#append({ entry: { type: 'command', time: this.now, command }, kind: 'command' }, null);
  }

  #append(stored: Stored, ticket: Ticket | null): void {
    const wait = this.options.appendMs?.() ?? 0;
    const at = Math.max(this.now + wait, this.#appends.at(-1)?.at ?? 0);
    this.#appends.push({ at, stored, ticket });
    if (wait === 0) this.#order();
  }

  #order(): void {
    for (let next = this.#appends[0]; next !== undefined && next.at <= this.now; next = this.#appends[0]) {
      this.#appends.shift();
      const at = this.disk.last + 1;
      this.disk.write({ type: 'entry', index: at, stored: next.stored });
      if (next.ticket !== null) {
        next.ticket.index = at;
        this.#asked.set(at, next.ticket);
      }
      this.tell({ type: 'ordered', index: toIndex(at), entry: next.stored.entry });
    }
  }

  tell(event: Event): void {
    this.#events.push(event);
    if (this.#handling) return;
    this.#handling = true;
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
      assert(++this.#eventsNow < EVENTS_MAX, 'P7: no endless loop');
      this.#checks.before(next);
      const effects = this.core.step(this.now, next);
      this.trace.push(...effects);
      for (const effect of effects) {
        this.#checks.effect(effect);
        this.#carryOut(effect);
      }
    }
    this.#handling = false;
    this.#checks.state();
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'append-command':
        return this.command(effect.command);
      case 'append-mark':
        return this.#append({ entry: { type: 'mark', time: this.now }, kind: 'mark' }, null);
      case 'answer':
        return this.#answer(effect.index);
      case 'record': {
        const update = this.truth.result(effect.index)?.update ?? null;
        this.#fleet.record(effect.index, update);
        return this.disk.write({ type: 'record', index: effect.index, update });
      }
      case 'release':
        if (this.truth.kind(effect.index) === 'tick') this.#tickUnderWay = false;
        return;
      case 'forget-key':
      case 'skipped':
        return this.disk.write(effect);
      case 'checkpoint':
        this.disk.write({ type: 'checkpoint', index: effect.index, state: effect.digest });
        this.#checkpointing.push(effect.index);
        return;
      case 'refreshed':
        return this.#fleet.trim(effect.through);
      case 'truncate-order':
      case 'truncate-updates':
        return this.disk.write(effect);
      case 'incident':
        return void this.incidents.push(effect.fault);
      case 'send':
      case 'fetch':
      case 'fetch-state':
      case 'take-state':
        return assert(false, 'a single manager asks nobody');
      case 'succeeded':
      case 'succession-failed':
        return;
      case 'halt':
        this.halted = effect.reason;
        return;
      case 'start':
      case 'stop':
      case 'suspend':
      case 'resume':
      case 'execute':
      case 'apply':
      case 'import':
      case 'digest':
      case 'export':
        return this.#fleet.carryOut(this.now, effect);
    }
  }

  #answer(at: number): void {
    const ticket = this.#asked.get(at);
    if (ticket !== undefined) ticket.outcome = this.truth.outcome(at);
  }

  /** Lets time pass, in steps of the clock. */
  run(ms: number): void {
    for (const end = this.now + ms; this.now < end;) {
      this.now += CLOCK_MS;
      this.#eventsNow = 0;
      this.#order();
      this.#work();
      if (!this.diskStuck) this.sync();
      if (this.now % TICK_MS < CLOCK_MS && !this.#tickUnderWay) {
        this.#tickUnderWay = true;
        this.#append({ entry: { type: 'tick', time: this.now }, kind: 'tick' }, null);
      }
      this.tell({ type: 'clock' });
    }
  }

  /** Until `done`; fails when that takes longer than `ms`. */
  until(what: string, done: () => boolean, ms = 10_000): void {
    for (const end = this.now + ms; !done(); this.run(CLOCK_MS))
      assert(
        this.now < end,
        `${what}: ${JSON.stringify({ view: this.core.view(), incidents: this.incidents })}`,
      );
  }

  #work(): void {
    const random = this.options.random ?? ((): number => 0);
    for (let progress = true; progress;) {
      progress = false;
      const order = [...this.replicas.values()];
      for (let from = Math.floor(random() * order.length), i = 0; i < order.length; i++) {
        const events = order[(from + i) % order.length]?.work(this.now) ?? null;
        if (events === null) continue;
        progress = true;
        for (const event of events) this.tell(event);
      }
    }
  }

  /** Makes durable what was written so far. */
  sync(): void {
    this.disk.flush();
    const { last } = this.disk;
    if (last > this.#durableTold) this.tell({ type: 'durable', index: toIndex((this.#durableTold = last)) });
    const done = this.#checkpointing;
    this.#checkpointing = [];
    for (const at of done) this.tell({ type: 'checkpointed', index: toIndex(at) });
  }

  crash(id: ReplicaId): void {
    for (const event of this.replicas.get(id)?.crash() ?? []) this.tell(event);
  }

  /** f+1 active and f+1 suspended replicas, and no suspicion. */
  get whole(): boolean {
    const { replicas, suspicion } = this.core.view();
    const count = (state: string): number => replicas.filter((replica) => replica.state === state).length;
    const { faults } = this.options;
    return !suspicion && count('running') === faults + 1 && count('suspended') === faults + 1;
  }

  get answered(): boolean {
    return this.tickets.every(({ outcome }) => outcome !== null);
  }

  /** Replicas in the group's order. */
  role(role: 'active' | 'passive'): Replica[] {
    const found: Replica[] = [];
    for (const member of this.core.group.members()) {
      const replica = this.replicas.get(member.replica);
      if (member.role === role && replica !== undefined) found.push(replica);
    }
    return found;
  }

  /** What is still held for entries that are long answered; nothing, when all is quiet. */
  get leftovers(): string[] {
    return this.#checks.leftovers;
  }

  get durableTold(): number {
    return this.#durableTold;
  }
}
