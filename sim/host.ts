/**
 * One host: a manager with the real core, its replicas, its disk, its clock. Carries out what the core wants, as the
 * manager's shell does.
 */
import { Core } from '../src/core/core.ts';
import type { Effect } from '../src/core/effect.ts';
import type { Command } from '../src/core/entry.ts';
import type { Event, Vote } from '../src/core/event.ts';
import {
  assert,
  digest,
  index as toIndex,
  type Index,
  type ManagerId,
  type ReplicaId,
} from '../src/core/ids.ts';
import type { Replica } from '../src/core/testing/replica.ts';
import { updateDigest } from '../src/core/testing/service.ts';
import { Clock } from '../src/manager/clock.ts';
import type { Line } from './order-engine.ts';
import { Pool } from './pool.ts';
import type { Simulation } from './simulation.ts';
import { type Recorded, Store } from './store.ts';

const CLOCK_MS = 10;
const TICK_MS = 1000;
/** So many events without time passing are an endless loop. */
const EVENTS_MAX = 5000;

type Of<T extends Effect['type']> = Extract<Effect, { type: T }>;

export class Host {
  readonly sim: Simulation;
  readonly number: number;
  readonly id: ManagerId;
  readonly store: Store = new Store();
  readonly pool: Pool;
  core: Core | null = null;
  /** Cut off from the order engine. */
  cut = false;
  /** Sees the order so much later. */
  lagMs = 0;
  /** Its wall clock is off by so much. */
  skewMs = 0;
  /** Counts crashes: what was planned in an earlier life does not happen. */
  life = 0;
  #bootMs = 0;
  #next = 0;
  #durableTold = -1;
  #recordedTold = -1;
  #events: Event[] = [];
  #handling = false;
  #eventsNow = { at: 0, count: 0 };
  #time = new Clock();
  /** Of the core. */
  nowMs = 0;
  #standsStill = false;
  /** Results of own replicas, and what was fetched, of entries in work. */
  #ballots = new Map<number, Recorded[]>();
  #staged = '';

  constructor(sim: Simulation, number: number, id: ManagerId) {
    this.sim = sim;
    this.pool = new Pool(this);
    this.number = number;
    this.id = id;
  }

  get replicas(): Map<ReplicaId, Replica> {
    return this.pool.replicas;
  }

  get up(): boolean {
    return this.core !== null;
  }

  get wallMs(): number {
    return Math.max(0, Math.floor(this.sim.timeline.now + 10_000 + this.skewMs));
  }

  start(): void {
    const { order, options } = this.sim;
    this.store.lives++;
    this.life++;
    this.#bootMs = this.sim.timeline.now;
    this.#time = new Clock();
    this.#standsStill = false;
    this.core = new Core({
      ...options.core,
      faults: options.faults,
      manager: this.id,
      managers: options.managers,
      variants: 2 * options.faults + 2,
      firstReplica: 1000 * (this.store.lives - 1),
    });
    this.sim.checks.started(this);
    const { base } = order;
    const first = order.first;
    const { keys } = this.sim.checks.decisions;
    this.#next = first;
    this.#durableTold = -1;
    this.#recordedTold = this.store.decided;
    this.pool.started();
    this.tell({
      type: 'recovered',
      decided: toIndex(this.store.decided),
      first: toIndex(first),
      keys: keys.before(first),
      // The one manager knows more than the order says: which skips came in time.
      skips: keys.skips(order.embedded ? null : first),
      tick: base?.tick ?? 0,
      time: base?.time ?? 0,
      state: order.embedded ? null : (base?.state ?? null),
    });
    this.notify();
    if (order.embedded && order.head < 0) this.append({ type: 'start', time: this.wallMs }, 'start');
    this.tell({ type: 'boot' });
    this.#clock(this.life);
    this.#sync(this.life);
  }

  crash(): void {
    this.core = null;
    this.life++;
    this.store.crash();
    this.pool.clear();
    this.#ballots.clear();
    this.#events = [];
    this.#handling = false;
    this.sim.checks.crashed(this);
  }

  append(entry: Line['entry'], kind: Line['kind'], onIndex: Line['onIndex'] = null): void {
    const line = { entry, kind, onIndex };
    if (!this.cut) return this.sim.order.append(line);
    const { life } = this;
    this.sim.timeline.in(50, () => {
      if (this.life === life) this.append(entry, kind, onIndex);
    });
  }

  /** The order has come further. */
  notify(): void {
    const { order } = this.sim;
    if (!this.up || this.cut || (order.down && !order.embedded)) return;
    while (this.up && this.#next <= order.head) {
      const line = order.lines[this.#next];
      assert(line !== undefined, 'entries up to the head are there');
      const seenAt = order.committedAt(this.#next) + this.lagMs;
      if (seenAt > this.sim.timeline.now) {
        this.sim.timeline.at(seenAt, () => this.notify());
        break;
      }
      const index = this.#next++;
      this.tell({ type: 'ordered', index: toIndex(index), entry: line.entry });
    }
    this.#tellDurable();
  }

  #tellDurable(): void {
    const durable = Math.min(this.sim.order.durable, this.#next - 1);
    if (durable <= this.#durableTold) return;
    this.#durableTold = durable;
    this.tell({ type: 'durable', index: toIndex(durable) });
  }

  get durableTold(): number {
    return this.#durableTold;
  }

  /** For so long the manager handles nothing; then comes its own timer, and after that what came meanwhile. */
  standStill(ms: number): void {
    if (this.#standsStill) return;
    this.#standsStill = true;
    const { life } = this;
    this.sim.timeline.in(ms, () => {
      if (this.life !== life) return;
      this.#standsStill = false;
      this.#events.unshift({ type: 'clock' });
      this.#handle();
    });
  }

  tell(event: Event): void {
    this.#events.push(event);
    this.#handle();
  }

  #handle(): void {
    if (this.#handling || this.#standsStill) return;
    this.#handling = true;
    const { life } = this;
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
      const { core } = this;
      if (core === null || this.life !== life) break;
      this.#countEvents();
      this.sim.observe(this, next);
      this.nowMs = this.#time.now(this.sim.timeline.now - this.#bootMs);
      const effects = core.step(this.nowMs, next);
      this.sim.checks.stepped(this, core, next, effects);
      for (const effect of effects) {
        this.sim.observe(this, effect);
        this.#carryOut(effect);
      }
      this.sim.checks.settled(this, core);
    }
    this.#handling = false;
  }

  #countEvents(): void {
    const { now } = this.sim.timeline;
    if (this.#eventsNow.at !== now) this.#eventsNow = { at: now, count: 0 };
    assert(++this.#eventsNow.count < EVENTS_MAX, 'P7: no endless loop');
  }

  #clock(life: number): void {
    let tickAt = this.sim.timeline.now + TICK_MS;
    const stroke = (): void => {
      if (this.life !== life) return;
      this.tell({ type: 'clock' });
      const { now } = this.sim.timeline;
      if (now >= tickAt && this.core?.managers.first === this.id) {
        tickAt = now + TICK_MS;
        this.append({ type: 'tick', time: this.wallMs }, 'tick');
      }
      this.sim.timeline.in(CLOCK_MS, stroke);
    };
    this.sim.timeline.in(CLOCK_MS * this.sim.random(), stroke);
  }

  /** The disk: what was written becomes durable, in batches. */
  #sync(life: number): void {
    const flush = (): void => {
      if (this.life !== life) return;
      this.#flush();
      this.sim.timeline.in(this.sim.options.syncMs(), flush);
    };
    this.sim.timeline.in(this.sim.options.syncMs(), flush);
  }

  #flush(): void {
    const { checkpoint } = this.store;
    if (!this.store.flush()) return;
    if (this.sim.order.embedded) {
      this.sim.order.sync();
      this.#tellDurable();
    }
    if (this.store.decided > this.#recordedTold) {
      this.#recordedTold = this.store.decided;
      this.tell({ type: 'recorded', index: toIndex(this.#recordedTold) });
    }
    if (checkpoint.index > (this.core?.refreshing.checkpoint ?? Infinity)) {
      this.tell({ type: 'checkpointed', index: toIndex(checkpoint.index) });
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'append-command':
        return this.#command(effect.command);
      case 'append-mark':
        return this.append({ type: 'mark', time: this.wallMs }, 'mark');
      case 'answer':
        return this.sim.clients.answer(this, effect);
      case 'record':
        return this.#record(effect);
      case 'release':
        this.#ballots.delete(effect.index);
        return;
      case 'send':
        return this.sim.send(this, effect.to, { type: 'peer', from: this.id, message: effect.message });
      case 'fetch':
        return this.sim.ask(this, effect.from, (other, back) => {
          const found = other.find(effect.index, effect.vote);
          back(() => this.#fetched(effect.index, effect.vote, found));
        });
      case 'fetch-state':
        return this.#fetchState(effect);
      case 'take-state':
        return this.store.keepCheckpoint(effect.index, this.#staged);
      case 'checkpoint':
        return this.store.keepCheckpoint(effect.index, effect.digest);
      case 'truncate-updates':
        return this.store.truncateUpdates(effect.through);
      case 'truncate-order':
        return this.store.afterFlush(() => this.sim.order.truncate(effect));
      case 'refreshed':
        return this.pool.trim(effect.through);
      case 'incident':
      case 'skipped':
      case 'forget-key':
        return;
      case 'succeeded':
      case 'succession-failed':
        return;
      case 'halt':
        this.sim.halted = effect.reason;
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
        return this.pool.drive(effect);
    }
  }

  #command(command: Command): void {
    this.append({ type: 'command', time: this.wallMs, command }, 'command');
  }

  #record({ index, vote }: Of<'record'>): void {
    const recorded = this.find(index, vote);
    assert(recorded !== null, 'a decided update is at hand');
    this.store.record(index, recorded);
    this.pool.recorded(index, recorded.update);
  }

  /** Reply and update behind a vote, if they are here. */
  find(at: Index, vote: Pick<Vote, 'reply' | 'update'>): Recorded | null {
    const fits = ({ reply, update }: Recorded): boolean =>
      digest(reply) === vote.reply && updateDigest(update) === vote.update;
    const kept = this.store.recordOf(at);
    if (kept !== undefined && fits(kept)) return kept;
    return this.#ballots.get(at)?.find(fits) ?? null;
  }

  /** A result whose bytes are here from now on. */
  keep(at: number, recorded: Recorded): void {
    const ballot = this.#ballots.get(at) ?? [];
    ballot.push(recorded);
    this.#ballots.set(at, ballot);
  }

  #fetched(index: Index, vote: Vote, found: Recorded | null): void {
    if (found !== null) this.keep(index, found);
    this.tell({ type: 'fetched', index, vote, found: found !== null });
  }

  #fetchState({ from, atLeast, which }: Of<'fetch-state'>): void {
    this.sim.ask(this, from, (other, back) => {
      // Only who takes part gives a state: it may be in doubt elsewhere.
      const latest = other.core?.booted === true ? other.core.order.decided : -1;
      const index = which === 'latest' ? latest : Math.min(latest, other.store.checkpoint.index);
      const state = index >= atLeast ? other.store.state(index) : null;
      back(() => {
        if (state === null) return this.tell({ type: 'state-fetched', index: null });
        this.#staged = state;
        this.tell({ type: 'state-fetched', index: toIndex(index) });
      });
    });
  }
}
