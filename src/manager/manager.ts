/**
 * The trusted shell: the one loop that feeds the core with what happens, and has its effects carried out (`effects.ts`).
 * It decides nothing.
 *
 * M1. Events are handled one at a time, each to its end; effects in the order given.
 * M2. Bytes of replicas enter through links only; the core sees their digests.
 */
import { join } from 'node:path';
import { Core, index as toIndex, managerId, replicaId } from '../core/index.ts';
import type { CoreOptions, CoreView, Event, Key, ReplicaId } from '../core/index.ts';
import { DOMAINS_FOLDER } from '../data-folder.ts';
import type { Domain, Driver } from '../domains/domain.ts';
import { isSystemError, SpareError, storageFailed } from '../errors.ts';
import type { Evidence } from '../evidence/evidence.ts';
import type { Orderer } from '../ordering/orderer.ts';
import type { Recovery } from '../ordering/store-protocol.ts';
import type { Opened, Store } from '../ordering/store.ts';
import { coreEntry, decodeEntry, encodeBare, encodeRequestEntry } from '../wire/entry.ts';
import { Backups } from './backups.ts';
import { digestOf } from './ballots.ts';
import { Clock } from './clock.ts';
import { Deployment, deployUnderWay, notTakenOver } from './deployment.ts';
import { Effects } from './effects.ts';
import { Fleet, STARTS_MAX } from './fleet.ts';
import { Health } from './health.ts';
import { type Client, InWork } from './in-work.ts';
import type { Heard } from './link.ts';
import { type ManagerOptions, REPORT_MS, type Version } from './options.ts';
import { Rejuvenation, type Rotated, rotatedLine, unknownReplica } from './rejuvenation.ts';
import { checkRoomBeside } from './room.ts';
import { Seeds } from './seeds.ts';
import { Snapshots } from './snapshots.ts';
import { UpdateLog } from './updates.ts';
import { Verified } from './verified.ts';

const CLOCK_MS = 10;
const TICK_MS = 1000;
/** What README.md promises to remember. */
const KEYS_MAX = 10_000;

/** `stateBytes`: size of the latest durable state. */
function coreOptions(options: ManagerOptions, recovery: Recovery, stateBytes: number): CoreOptions {
  const { faults, version, deadline, patience, refresh, requestTimeoutMs, startTimeoutMs } = options;
  return {
    faults,
    manager: managerId('m0'),
    managers: [managerId('m0')],
    variants: version.variants.length,
    firstReplica: recovery.nextReplica,
    deadline,
    patience,
    refresh,
    requestTimeoutMs,
    keysMax: KEYS_MAX,
    startTimeoutMs: STARTS_MAX * (startTimeoutMs + REPORT_MS),
    stateBytes,
    updateBytes: recovery.updateBytes,
  };
}

export class Manager {
  readonly #options: ManagerOptions;
  readonly #store: Store;
  readonly #orderer: Orderer<Client>;
  readonly #core: Core;
  readonly #time = new Clock();
  readonly #snapshots: Snapshots;
  readonly #seeds = new Seeds();
  readonly #fleet: Fleet;
  readonly #work: InWork;
  readonly #deployment: Deployment;
  readonly #effects: Effects;
  readonly #rejuvenation: Rejuvenation;
  readonly health: Health;
  readonly backups: Backups;
  #events: Event[] = [];
  #handling = false;
  #timers: NodeJS.Timeout[] = [];
  #tickUndecided = false;
  #lastTick = -1;
  #closed = false;
  readonly #ending = new AbortController();
  /** Entries up to here are in the recorded state. */
  readonly #recovered: number;
  /** Called once when the service cannot be run at all. */
  onHalt: (error: SpareError) => void = () => {};

  constructor(
    options: ManagerOptions,
    parts: { driver: Driver; store: Store; orderer: Orderer<Client>; opened: Opened },
  ) {
    const { driver, store, orderer } = parts;
    const { recovery } = parts.opened;
    this.#options = options;
    this.#recovered = recovery.decided;
    this.#store = store;
    this.#orderer = orderer;
    this.#snapshots = new Snapshots(options.dataFolder, options.stateBytesMax, recovery);
    this.backups = new Backups(options, store, this.#snapshots, this.ending);
    const hasStopped = (): boolean => this.#core.group.helpless || !this.health.answering();
    this.#deployment = new Deployment(options.version, hasStopped);
    const updates = new UpdateLog(store, recovery.decided);
    const verified = new Verified(this.#snapshots, updates);
    this.#fleet = new Fleet(options, driver, this.#deployment, verified, {
      onAnswer: (id, answer) => this.#answered(replicaId(id), answer),
      onDown: (id, kind) => this.#tell({ type: 'down', replica: replicaId(id), kind }),
      onRefused: (error) => this.#rejuvenation.refused(error),
      onImageDamaged: (error) => this.imageChanged(error),
      onNoRoom: (error) => this.#halt(error),
    });
    this.#work = new InWork(store, recovery.decided, (replica, full) =>
      this.#fleet.link(replica)?.hear(!full, 'votes'),
    );
    const [fleet, snapshots, work, seeds] = [this.#fleet, this.#snapshots, this.#work, this.#seeds];
    const deployment = this.#deployment;
    this.#effects = new Effects(
      options,
      { store, orderer, fleet, deployment, snapshots, updates, verified, work, seeds },
      {
        tell: (event) => this.#tell(event),
        onIncident: () => this.health.broken(performance.now()),
        onReleased: (index) => this.#released(index),
        onFailure: (error) => this.#failed(error),
      },
    );
    this.#core = new Core(coreOptions(options, recovery, this.#snapshots.bytes));
    this.health = new Health(this.#core, options.faults);
    this.#rejuvenation = this.#rejuvenate();
    orderer.onOrdered = (index, entry, client) => this.#ordered(index, entry, client);
    orderer.onDurable = (index) => this.#tell({ type: 'durable', index: toIndex(index) });
    store.onFailure = (error) => this.#halt(error);
    this.#snapshots.onBehind = (replica, behind) => {
      this.#fleet.link(replica)?.hear(!behind, 'disk');
      this.#tell({ type: 'paused', replica: replicaId(replica), paused: behind });
    };
    this.#snapshots.onFailure = (error) => this.#failed(error);
  }

  #rejuvenate(): Rejuvenation {
    const { faults, recovery, log } = this.#options;
    return new Rejuvenation(recovery, 2 * faults + 2, {
      births: () => this.#births(),
      isActive: (id) => this.#core.group.get(id)?.role === 'active',
      isOutdated: (id) => this.#fleet.isOutdated(id),
      isCalm: () => this.health.calm(),
      check: () => this.#checkAhead(),
      rotate: (replica) => this.#tell({ type: 'rotate', replica }),
      onRotated: (rotated) => log(rotatedLine(rotated)),
    });
  }

  /** None while a new version comes up: that takes the place of all, and may lie where the old one was. */
  async #checkAhead(): Promise<void> {
    if (this.#deployment.isUnderWay)
      throw deployUnderWay('No replica can be replaced now: a new version is about to take over.');
    await this.#fleet.checkAhead();
  }

  /** Not of a version that may yet take over. */
  #births(): (readonly [ReplicaId, number])[] {
    const own = this.#fleet.births().filter(([id]) => !this.#fleet.isNew(id));
    return own.map(([id, at]) => [replicaId(id), at] as const);
  }

  /** Takes up what the store holds, and starts the group. */
  start(opened: Opened): void {
    const { first, decided, timeMs, tickMs } = opened.recovery;
    const keys = opened.keys.map((key) => ({ ...key, index: toIndex(key.index) }));
    const skips = opened.skips.map((skip) => ({ ...skip, index: toIndex(skip.index) }));
    this.#tell({
      type: 'recovered',
      first: toIndex(first),
      decided: toIndex(decided),
      keys,
      skips,
      tick: tickMs,
      time: timeMs,
      state: null,
    });
    for (const { index, bytes } of opened.entries) {
      if (index === 0) this.#remember(bytes);
      if (index >= first) this.#ordered(index, bytes, null);
    }
    if (opened.next > 0) this.#tell({ type: 'durable', index: toIndex(opened.next - 1) });
    else this.#orderer.append(encodeBare('start', Date.now(), this.#seeds.next()), null);
    this.#tell({ type: 'boot' });
    this.#timers.push(setInterval(() => this.#clock(), CLOCK_MS));
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS));
  }

  /** Orders a request, as `encodeRequest` gives it; `done` is called once. */
  submit(key: Key | null, request: Uint8Array, done: Client): void {
    this.#orderer.append(encodeRequestEntry(key, request, Date.now(), this.#seeds.next()), done);
  }

  #clock(): void {
    this.#tell({ type: 'clock' });
    const { health } = this;
    if (!health.answering()) this.#fleet.hurry();
    this.#fleet.clock(this.#time.now(performance.now()));
    this.#rejuvenation.clock(performance.now());
    const repairedMs = health.clock(performance.now());
    if (repairedMs === null) return;
    const replicas = `${health.running()} active, ${health.asleep()} suspended`;
    this.#options.log(`repaired   ${replicas}, after ${(repairedMs / 1000).toFixed(1)} s`);
  }

  /** Replaces a replica by a clean one; resolves once that is done. Throws a `SpareError` when it cannot be now. */
  recover(replica: string): Promise<Rotated> {
    return this.#rejuvenation.recover(performance.now(), replica);
  }

  /** The last that a replica's processes printed, safe for a terminal. Throws `replica-unknown`. */
  console(replica: string): string {
    const known = this.#fleet.births().map(([id]) => id);
    if (!known.includes(replica)) throw unknownReplica(replica, known);
    return this.#fleet.console(replica);
  }

  /** Whether a new version can be there beside the one that runs. Throws `deploy-failed`. */
  async checkRoom(): Promise<void> {
    const { dataFolder, faults } = this.#options;
    const active = this.#core.view().replicas.filter(({ role }) => role === 'active');
    const folders = active.map(({ id }) => join(dataFolder, DOMAINS_FOLDER, id));
    await checkRoomBeside(folders, faults, dataFolder, this.ending);
  }

  /**
   * Has a new version take the place of the one that runs; resolves with the seconds it took once it answers. Throws
   * `group-not-whole`, `deploy-under-way`, `deploy-failed`, `admin-failed`.
   */
  async deploy(version: Version): Promise<number> {
    if (this.#closed) throw notTakenOver();
    // It need not be whole: where the service on disk has changed, only this makes it whole again, or has it answer again.
    const { suspicion, helpless } = this.#core.group;
    if (!helpless && (suspicion !== null || !this.health.answering())) {
      const hint = 'A new version takes over when that is done. See /status, and try again.';
      throw new SpareError('group-not-whole', 'The group is being repaired.', { hint });
    }
    const variants = version.variants.length;
    return await this.#deployment.begin(performance.now(), version, () =>
      this.#tell({ type: 'deploy', variants }),
    );
  }

  /** Null: it is as it was again. */
  imageChanged(error: SpareError | null): void {
    if (error !== null)
      return this.#effects.imageChanged(`${error.message} ${error.hint}`, this.#core.order.decided);
    this.#options.log('image      what the service starts from is what was accepted again');
    this.#tell({ type: 'startable' });
  }

  get rotations(): { readonly done: number; readonly underWay: ReplicaId | null } {
    return { done: this.#rejuvenation.count, underWay: this.#rejuvenation.underWay };
  }

  #tick(): void {
    if (this.#tickUndecided) return;
    this.#tickUndecided = true;
    this.#orderer.append(encodeBare('tick', Date.now(), this.#seeds.next()), null);
  }

  #released(index: number): void {
    if (index === this.#lastTick) this.#tickUndecided = false;
  }

  #remember(entry: Buffer): void {
    const { timeMs, seed } = decodeEntry(entry);
    this.#effects.startWith({ timeMs, seed: Buffer.from(seed) });
  }

  /** `client`: who waits for it here. */
  #ordered(index: number, bytes: Buffer, client: Client | null): void {
    if (index === 0) this.#remember(bytes);
    if (index > this.#recovered) this.#work.take(index, bytes, client);
    const decoded = decodeEntry(bytes);
    if (decoded.kind === 'tick') this.#lastTick = index;
    this.#tell({ type: 'ordered', index: toIndex(index), entry: coreEntry(decoded) });
  }

  #tell(event: Event): void {
    if (this.#closed) return;
    this.#events.push(event);
    if (this.#handling) return;
    this.#handling = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        const now = this.#time.now(performance.now());
        for (const effect of this.#core.step(now, next)) this.#effects.carryOut(effect);
      }
    } catch (error) {
      this.#failed(error);
    }
    this.#handling = false;
  }

  #answered(replica: ReplicaId, answer: Heard): void {
    switch (answer.type) {
      case 'result':
        return this.#voted(replica, answer);
      case 'digest':
        this.#snapshots.announce(replica, answer.exportBytes);
        return this.#tell({
          type: 'digest',
          replica,
          digest: digestOf(Buffer.from(answer.digest, 'base64')),
          stateBytes: answer.exportBytes,
        });
      case 'chunk':
        return this.#exported(replica, answer);
    }
  }

  #exported(replica: ReplicaId, { chunk, last }: Extract<Heard, { type: 'chunk' }>): void {
    try {
      const digest = this.#snapshots.take(replica, chunk, last);
      if (digest === 'refused') this.#tell({ type: 'down', replica, kind: 'protocol' });
      else if (digest !== null) this.#tell({ type: 'exported', replica, digest });
    } catch (error) {
      this.#failed(error);
    }
  }

  #voted(replica: ReplicaId, { index, reply, update }: Extract<Heard, { type: 'result' }>): void {
    const vote = this.#work.cast(replica, index, reply, update);
    this.#tell({ type: 'vote', replica, index: toIndex(index), vote });
  }

  /** Of what is done here only the data folder fails with an error of the system: all ends. Anything else is a bug. */
  #failed(error: unknown): void {
    if (error instanceof SpareError) return this.#halt(error);
    if (!isSystemError(error)) throw error;
    this.#halt(storageFailed(this.#options.dataFolder, error.message));
  }

  #halt(error: SpareError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onHalt(error);
  }

  get evidence(): Evidence {
    return this.#effects.evidence;
  }

  view(): CoreView {
    return this.#core.view();
  }

  /** When its domain was started, on the clock of `performance.now`. */
  startedAt(replica: ReplicaId): number {
    return this.#fleet.births().find(([id]) => id === replica)?.[1] ?? performance.now();
  }

  /** As of `Fleet`. */
  isOutdated(replica: ReplicaId): boolean {
    return this.#fleet.isOutdated(replica);
  }

  domainOf(replica: ReplicaId): Domain | null {
    return this.#fleet.link(replica)?.domain ?? null;
  }

  /** Digest of what replicas of the version that runs start from. */
  get image(): string {
    return this.#deployment.current.digest;
  }

  get isolation(): string {
    return this.#fleet.isolation;
  }

  /** Aborted once it is being closed. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** It handles nothing any more. */
  get ended(): boolean {
    return this.#closed;
  }

  /** Ends all domains. What was ordered is durable already or was not acknowledged. `atOnce`: as of `Evidence`. */
  async close(atOnce: AbortSignal): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#ending.abort(new Error('the group has ended'));
    this.#deployment.end();
    this.#rejuvenation.end();
    // The state before an incident is read from the store.
    await Promise.all([this.#fleet.close(), this.evidence.close(atOnce)]);
    await Promise.all([this.#store.close(), this.backups.settled()]);
  }
}
