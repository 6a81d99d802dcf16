/**
 * The trusted shell: the one loop that feeds the core and carries out its effects. It decides nothing.
 *
 * M1. Events are handled one at a time, each to its end; effects in the order given.
 * M2. Bytes of replicas enter through links only; the core sees their digests.
 */
import { join } from 'node:path';
import { assert, Core, index as toIndex, managerId, replicaId } from '../core/index.ts';
import type { CoreView, Effect, Event, Key, Outcome, ReplicaId } from '../core/index.ts';
import type { Domain, Driver } from '../domains/domain.ts';
import { SpareError } from '../errors.ts';
import { Incidents } from '../evidence/incidents.ts';
import type { Orderer } from '../ordering/orderer.ts';
import type { Opened, Store } from '../ordering/store.ts';
import { RECORD } from '../ordering/store-protocol.ts';
import type { Answer } from '../wire/channel.ts';
import { digestFrames, executeFrames, exportFrames } from '../wire/channel.ts';
import { coreEntry, decodeEntry, encodeBare, encodeCommand, encodeRequestEntry } from '../wire/entry.ts';
import { Ballots, digestOf } from './ballots.ts';
import { Fleet, type StartEntry } from './fleet.ts';
import type { ManagerOptions } from './options.ts';
import { Seeds } from './seeds.ts';
import { Snapshots } from './snapshots.ts';
import { UpdateLog } from './updates.ts';
import { whatHappened } from './what-happened.ts';

const CLOCK_MS = 10;
const TICK_MS = 1000;
const REPORT_MS = 5000;
/** Bytes of undecided votes that one replica may have the manager keep. */
const BALLOT_BYTES_MAX = 256 * 1024 ** 2;

/** What a client is told: the encoded reply, or why there is none. */
export type Verdict =
  | { readonly type: 'reply'; readonly bytes: Buffer; readonly timeMs: number }
  | Exclude<Outcome, { type: 'reply' | 'unknown' }>
  | { readonly type: 'forgotten' };

export class Manager {
  readonly #options: ManagerOptions;
  readonly #store: Store;
  readonly #orderer: Orderer;
  readonly #core: Core;
  readonly #snapshots: Snapshots;
  readonly #updates: UpdateLog;
  readonly #ballots = new Ballots(BALLOT_BYTES_MAX);
  readonly #seeds = new Seeds();
  readonly #fleet: Fleet;
  readonly #entries = new Map<number, Buffer>();
  readonly #times = new Map<number, number>();
  readonly #clients = new Map<number, (verdict: Verdict) => void>();
  readonly #pendingTags = new Map<number, (verdict: Verdict) => void>();
  readonly incidents: Incidents;
  #events: Event[] = [];
  #handling = false;
  #nextTag = 0;
  #startEntry: StartEntry | null = null;
  #timers: NodeJS.Timeout[] = [];
  #tickUndecided = false;
  #lastTick = -1;
  #closed = false;
  #accepting = false;
  /** When the first of the incidents happened that the group has not recovered from yet. */
  #brokenAt: number | null = null;
  /** Entries up to here are in the recorded state. */
  readonly #recovered: number;
  /** Called once when the service cannot be run at all. */
  onHalt: (error: SpareError) => void = () => {};

  constructor(
    options: ManagerOptions,
    parts: { driver: Driver; store: Store; orderer: Orderer; opened: Opened },
  ) {
    const { recovery } = parts.opened;
    this.#options = options;
    this.#recovered = recovery.decided;
    this.#store = parts.store;
    this.#orderer = parts.orderer;
    this.#snapshots = new Snapshots(options.dataFolder, options.stateBytesMax, recovery.checkpoint);
    this.#fleet = new Fleet(options, parts.driver, this.#snapshots, {
      onAnswer: (id, answer) => this.#answered(replicaId(id), answer),
      onDown: (id, kind) => this.#tell({ type: 'down', replica: replicaId(id), kind }),
    });
    this.#updates = new UpdateLog(parts.store, recovery.decided);
    this.incidents = new Incidents(join(options.dataFolder, 'incidents.jsonl'));
    this.#core = new Core({
      faults: options.faults,
      manager: managerId('m0'),
      managers: [managerId('m0')],
      variants: options.variants.length,
      firstReplica: recovery.nextReplica,
      deadline: options.deadline,
      refresh: options.refresh,
      requestTimeoutMs: options.requestTimeoutMs,
      // The agent's own report of a start that takes too long says more, so it gets the time to come.
      startTimeoutMs: options.startTimeoutMs + REPORT_MS,
    });
    this.#orderer.onOrdered = (index, entry, tag) => this.#ordered(index, entry, tag);
    this.#orderer.onDurable = (index) => this.#tell({ type: 'durable', index: toIndex(index) });
    this.#store.onFailure = (error) => this.#halt(error);
  }

  /** Takes up what the store holds, and starts the group. */
  start(opened: Opened): void {
    const { first, decided, timeMs, tickMs } = opened.recovery;
    const keys = opened.keys.map((key) => ({ ...key, index: toIndex(key.index) }));
    this.#tell({
      type: 'recovered',
      first: toIndex(first),
      decided: toIndex(decided),
      keys,
      tick: tickMs,
      time: timeMs,
      state: null,
    });
    for (const { index, bytes } of opened.entries) {
      if (index === 0) this.#remember(bytes);
      if (index >= first) this.#ordered(index, bytes, null);
    }
    const last = Math.max(first - 1, opened.entries.at(-1)?.index ?? -1);
    if (last >= 0) this.#tell({ type: 'durable', index: toIndex(last) });
    else this.#orderer.append(encodeBare('start', Date.now(), this.#seeds.next()), null);
    this.#tell({ type: 'boot' });
    this.#timers.push(setInterval(() => this.#clock(), CLOCK_MS));
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS));
  }

  /** Orders a request, as `encodeRequest` gives it; `done` is called once. */
  submit(key: Key | null, request: Uint8Array, done: (verdict: Verdict) => void): void {
    const tag = this.#nextTag++;
    this.#pendingTags.set(tag, done);
    this.#orderer.append(encodeRequestEntry(key, request, Date.now(), this.#seeds.next()), tag);
  }

  #clock(): void {
    this.#tell({ type: 'clock' });
    if (this.#brokenAt === null || !this.whole()) return;
    const seconds = ((performance.now() - this.#brokenAt) / 1000).toFixed(1);
    this.#brokenAt = null;
    this.#options.log(
      `repaired   ${this.#count('running')} active, ${this.#count('suspended')} suspended, after ${seconds} s`,
    );
  }

  #count(state: 'running' | 'suspended'): number {
    return this.#core.replicas.count(state);
  }

  /** Enough replicas run to answer requests. */
  answering(): boolean {
    return this.#count('running') > this.#options.faults;
  }

  /** Whether requests are taken: from the first moment that it answers on. What comes in an outage later waits. */
  accepting(): boolean {
    this.#accepting ||= this.answering();
    return this.#accepting;
  }

  /** f+1 replicas run, f+1 are suspended. */
  whole(): boolean {
    return this.answering() && this.#count('suspended') > this.#options.faults;
  }

  #tick(): void {
    if (this.#tickUndecided) return;
    this.#tickUndecided = true;
    this.#orderer.append(encodeBare('tick', Date.now(), this.#seeds.next()), null);
  }

  #remember(entry: Buffer): void {
    const { timeMs, seed } = decodeEntry(entry);
    this.#startEntry = { timeMs, seed: Buffer.from(seed) };
  }

  #ordered(index: number, bytes: Buffer, tag: number | null): void {
    if (index === 0) this.#remember(bytes);
    if (tag !== null) {
      const client = this.#pendingTags.get(tag);
      this.#pendingTags.delete(tag);
      if (client !== undefined) this.#clients.set(index, client);
    }
    if (index > this.#recovered) this.#entries.set(index, bytes);
    const decoded = decodeEntry(bytes);
    if (decoded.kind === 'tick') this.#lastTick = index;
    this.#tell({ type: 'ordered', index: toIndex(index), entry: coreEntry(decoded) });
  }

  #tell(event: Event): void {
    if (this.#closed) return;
    this.#events.push(event);
    if (this.#handling) return;
    this.#handling = true;
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
      for (const effect of this.#core.step(performance.now(), next)) this.#carryOut(effect);
    }
    this.#handling = false;
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'append-command':
        return this.#orderer.append(encodeCommand(effect.command, Date.now(), this.#seeds.next()), null);
      case 'append-mark':
        return this.#orderer.append(encodeBare('mark', Date.now(), this.#seeds.next()), null);
      case 'execute':
        return this.#execute(effect);
      case 'record':
        return this.#record(effect);
      case 'answer':
        return this.#answer(effect.index, effect.outcome);
      case 'release':
        return this.#release(effect.index);
      case 'apply':
        return this.#apply(effect.replica, effect.from, effect.through);
      case 'import':
        return this.#import(effect.replica, effect.through);
      case 'digest':
        return this.#fleet.link(effect.replica)?.send(digestFrames());
      case 'export':
        this.#snapshots.expect(effect.replica, effect.index);
        return this.#fleet.link(effect.replica)?.send(exportFrames());
      case 'suspend':
        return this.#fleet.link(effect.replica)?.suspend();
      case 'resume':
        return this.#fleet.link(effect.replica)?.resume();
      case 'start':
        return this.#start(effect.replica, effect.variant);
      case 'stop':
        this.#snapshots.discard(effect.replica);
        return this.#fleet.stop(effect.replica);
      case 'incident':
        return this.#incident(effect);
      case 'checkpoint':
        return void this.#checkpoint(effect);
      case 'refreshed':
        return this.#updates.trim(effect.through);
      case 'truncate-order': {
        const order = { first: effect.through + 1, timeMs: effect.time, tickMs: effect.tick };
        return this.#store.write(RECORD.truncateOrder, effect.through, Buffer.from(JSON.stringify(order)));
      }
      case 'truncate-updates':
        return this.#store.write(RECORD.truncateUpdates, effect.through);
      case 'forget-key':
        return this.#store.write(RECORD.forgetReply, effect.index);
      case 'send':
      case 'fetch':
      case 'fetch-state':
      case 'take-state':
        return assert(false, 'the only manager asks nobody');
      case 'halt':
        return this.#cannotStart(effect.reason);
    }
  }

  #execute({ replica, index, time, tickFrom }: Extract<Effect, { type: 'execute' }>): void {
    const entry = this.#entries.get(index);
    assert(entry !== undefined, 'an entry that is not released is at hand');
    this.#fleet.link(replica)?.send(executeFrames(index, time, tickFrom, entry));
    this.#times.set(index, time);
  }

  #record({ index, vote, keyed }: Extract<Effect, { type: 'record' }>): void {
    const update = this.#ballots.update(index, vote.update);
    assert(update !== null, 'a decided update is at hand');
    const reply = keyed ? this.#ballots.reply(index, vote.reply) : null;
    // Before the entry is written as decided, which may write a batch: after a crash it is not executed again.
    if (reply !== null) this.#store.write(RECORD.reply, index, reply);
    this.#updates.record(index, update);
  }

  #answer(index: number, outcome: Outcome): void {
    const client = this.#clients.get(index);
    if (client === undefined) return;
    this.#clients.delete(index);
    if (outcome.type === 'unknown') return client({ type: 'forgotten' });
    if (outcome.type !== 'reply') return client(outcome);
    const timeMs = this.#times.get(index) ?? Date.now();
    const bytes = outcome.digest === null ? null : this.#ballots.reply(outcome.of, outcome.digest);
    if (bytes !== null) return client({ type: 'reply', bytes, timeMs });
    void this.#store.reply(outcome.of).then((kept) => {
      client(kept === null ? { type: 'forgotten' } : { type: 'reply', bytes: kept, timeMs });
    });
  }

  #release(index: number): void {
    if (index === this.#lastTick) this.#tickUndecided = false;
    this.#entries.delete(index);
    this.#times.delete(index);
    this.#ballots.release(index);
  }

  #apply(replica: ReplicaId, from: number, through: number): void {
    const link = this.#fleet.link(replica);
    const frames = this.#updates.inMemory(from, through);
    if (frames !== null) link?.send(frames);
    else link?.stream(async (write) => write(await this.#updates.onDisk(from, through)));
  }

  #import(replica: ReplicaId, through: number): void {
    this.#fleet.link(replica)?.stream(async (write) => {
      const after = this.#snapshots.index;
      const frames = this.#snapshots.frames();
      const updates = await this.#updates.onDisk(after + 1, through);
      for await (const chunk of frames) await write(chunk);
      await write(updates);
    });
  }

  #start(id: ReplicaId, variant: number): void {
    assert(this.#startEntry !== null, 'entry 0 is ordered before any replica starts');
    this.#store.write(RECORD.nextReplica, Number(id.slice(1)) + 1);
    this.#fleet.start(id, variant, this.#startEntry);
  }

  #answered(replica: ReplicaId, answer: Answer): void {
    switch (answer.type) {
      case 'result':
        return this.#voted(replica, answer);
      case 'digest':
        return this.#tell({
          type: 'digest',
          replica,
          digest: digestOf(Buffer.from(answer.digest, 'base64')),
        });
      case 'chunk': {
        const digest = this.#snapshots.take(replica, answer.chunk, answer.last);
        if (digest === 'refused') return this.#tell({ type: 'down', replica, kind: 'protocol' });
        return digest === null ? undefined : this.#tell({ type: 'exported', replica, digest });
      }
      case 'failed':
        return undefined;
    }
  }

  #voted(replica: ReplicaId, { index, reply, update }: Extract<Answer, { type: 'result' }>): void {
    // Only of entries in work are bytes kept; the core knows whether this one was to be answered at all.
    const vote = this.#entries.has(index)
      ? this.#ballots.cast(replica, index, reply, update)
      : { reply: digestOf(reply), update: digestOf(update), updateBytes: update.length };
    if (vote === null) this.#tell({ type: 'down', replica, kind: 'protocol' });
    else this.#tell({ type: 'vote', replica, index: toIndex(index), vote });
  }

  #incident(effect: Extract<Effect, { type: 'incident' }>): void {
    const { replica, kind, index } = effect.fault;
    const what = whatHappened(effect, this.#ballots, this.#fleet.why(replica));
    this.incidents.add({
      index,
      replica,
      variant: effect.variant,
      kind,
      at: new Date().toISOString(),
      what,
      console: this.#fleet.console(replica),
      done: 'expelled and destroyed; a clean replica takes its place',
    });
    this.#brokenAt ??= performance.now();
    this.#options.log(`incident   replica ${replica}, entry ${index}: ${kind}: ${what}`);
  }

  async #checkpoint({ index, digest }: Extract<Effect, { type: 'checkpoint' }>): Promise<void> {
    const file = this.#snapshots.commit(index, digest);
    if (file === null) return;
    this.#store.write(RECORD.checkpoint, index, Buffer.from(JSON.stringify({ index, file })));
    await this.#store.updates(index, index);
    this.#snapshots.inForce(index);
    this.#tell({ type: 'checkpointed', index: toIndex(index) });
  }

  #cannotStart(reason: 'start-failed' | 'start-differs'): void {
    if (reason === 'start-differs') {
      const message = 'The replicas of the service start with different states, so it cannot be replicated.';
      const hint = 'Its start writes something that is not a function of the agreed time and randomness.';
      return this.#halt(new SpareError('service-not-deterministic', message, { hint }));
    }
    const { what = 'The service did not start.', console = '' } = this.incidents.latest().at(-1) ?? {};
    const output = console === '' ? '' : `\nIts last output:\n${console.replace(/^/gm, '  ')}`;
    const hint =
      'Try the command by itself; it must listen for HTTP on $PORT and keep its state in the --state files.';
    this.#halt(new SpareError('service-start-failed', `${what}${output}`, { hint }));
  }

  #halt(error: SpareError): void {
    this.onHalt(error);
  }

  view(): CoreView {
    return this.#core.view();
  }

  domainOf(replica: ReplicaId): Domain | null {
    return this.#fleet.link(replica)?.domain ?? null;
  }

  get isolation(): string {
    return this.#fleet.isolation;
  }

  /** Ends all domains. What was ordered is durable already or was not acknowledged. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#fleet.close();
    await this.#store.close();
  }
}
