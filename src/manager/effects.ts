/**
 * Carries out the core's effects: on the order, the store, the domains, and what is in work. It decides nothing.
 *
 * C1. Effects are carried out in the order given; what takes time (a checkpoint, an import) does not hold up the next one.
 */
import { assert, index as toIndex } from '../core/index.ts';
import type { Effect, Event, ReplicaId } from '../core/index.ts';
import { SpareError } from '../errors.ts';
import { Evidence } from '../evidence/evidence.ts';
import type { Incident } from '../evidence/incidents.ts';
import type { Orderer } from '../ordering/orderer.ts';
import type { Store } from '../ordering/store.ts';
import { RECORD } from '../ordering/store-protocol.ts';
import { bytesToSpare, fullDisk } from '../room.ts';
import { digestFrames, executeFrames, exportFrames } from '../wire/channel.ts';
import { encodeBare, encodeCommand } from '../wire/entry.ts';
import type { Deployment } from './deployment.ts';
import type { Client } from './in-work.ts';
import type { Link } from './link.ts';
import type { StartEntry } from './opening.ts';
import type { ManagerOptions } from './options.ts';
import { withLastWords } from './last-words.ts';
import type { Seeds } from './seeds.ts';
import type { Sending, Verified } from './verified.ts';
import { Witness, type WitnessParts } from './witness.ts';

export interface EffectParts extends WitnessParts {
  readonly store: Store;
  readonly orderer: Orderer<Client>;
  readonly deployment: Deployment;
  readonly seeds: Seeds;
  readonly verified: Verified;
}

export interface EffectHandlers {
  readonly tell: (event: Event) => void;
  /** A replica was found faulty, or an entry hopeless. */
  readonly onIncident: () => void;
  readonly onReleased: (index: number) => void;
  /** The group cannot be started, or what goes on beside the loop failed. */
  readonly onFailure: (error: unknown) => void;
}

export class Effects {
  readonly #options: ManagerOptions;
  readonly #parts: EffectParts;
  readonly #handlers: EffectHandlers;
  readonly evidence: Evidence;
  readonly #witness: Witness;
  #startEntry: StartEntry | null = null;
  /** What the latest replica of a new version failed of. */
  #whyNot = '';

  constructor(options: ManagerOptions, parts: EffectParts, handlers: EffectHandlers) {
    this.#options = options;
    this.#parts = parts;
    this.#handlers = handlers;
    const { dataFolder, faults, hook, log } = options;
    const room = (): number => bytesToSpare(dataFolder, faults);
    this.evidence = new Evidence(dataFolder, hook, log, room);
    this.#witness = new Witness(this.evidence, parts, room);
  }

  /** Entry 0, which every replica starts with. */
  startWith(entry: StartEntry): void {
    this.#startEntry = entry;
  }

  carryOut(effect: Effect): void {
    const { orderer, seeds, work, snapshots, updates, fleet, store } = this.#parts;
    switch (effect.type) {
      case 'append-command':
        return orderer.append(encodeCommand(effect.command, Date.now(), seeds.next()), null);
      case 'append-mark':
        return orderer.append(encodeBare('mark', Date.now(), seeds.next()), null);
      case 'execute':
        return this.#execute(effect);
      case 'record':
        return this.#record(effect);
      case 'answer':
        return this.#answer(effect);
      case 'release':
        work.release(effect.index);
        return this.#handlers.onReleased(effect.index);
      case 'apply':
        return this.#apply(effect.replica, effect.from, effect.through);
      case 'import':
        return this.#import(effect.replica, effect.through);
      case 'digest':
        return fleet.link(effect.replica)?.send(digestFrames());
      case 'export':
        snapshots.expect(effect.replica, effect.index);
        return fleet.link(effect.replica)?.send(exportFrames());
      case 'suspend':
        return fleet.link(effect.replica)?.suspend();
      case 'resume':
        return fleet.link(effect.replica)?.resume();
      case 'start':
        return this.#start(effect);
      case 'stop':
        snapshots.discard(effect.replica);
        return fleet.stop(effect.replica);
      case 'incident':
        return this.#fault(effect);
      case 'skipped':
        store.write(RECORD.skipped, effect.index, Buffer.from(effect.reason));
        return this.#incident(this.#witness.skipped(effect));
      case 'checkpoint':
        return void this.#checkpoint(effect).catch((error: unknown) => this.#handlers.onFailure(error));
      case 'refreshed':
        return updates.trim(effect.through);
      case 'truncate-order': {
        const order = { first: effect.through + 1, timeMs: effect.time, tickMs: effect.tick };
        return store.write(RECORD.truncateOrder, effect.through, Buffer.from(JSON.stringify(order)));
      }
      case 'truncate-updates':
        return updates.truncate(effect.through);
      case 'forget-key':
        return store.write(RECORD.forgetReply, effect.index, Buffer.from(String(effect.at)));
      case 'send':
      case 'fetch':
      case 'fetch-state':
      case 'take-state':
        return assert(false, 'the only manager asks nobody');
      case 'succeeded':
        return this.#parts.deployment.succeeded(performance.now(), effect.version);
      case 'succession-failed':
        return this.#parts.deployment.failed(this.#whyNot);
      case 'halt':
        return this.#handlers.onFailure(this.#cannotStart(effect.reason));
    }
  }

  #execute({ replica, index, time, tickFrom }: Extract<Effect, { type: 'execute' }>): void {
    const { fleet, work } = this.#parts;
    const entry = work.execute(index, time);
    fleet.link(replica)?.send(executeFrames(index, time, tickFrom, entry));
  }

  #record({ index, vote, keyed }: Extract<Effect, { type: 'record' }>): void {
    const { store, updates, work } = this.#parts;
    const update = work.ballots.update(index, vote.update);
    assert(update !== null, 'a decided update is at hand');
    const reply = keyed ? work.ballots.reply(index, vote.reply) : null;
    // Before the entry is written as decided, which may write a batch: after a crash it is not executed again.
    if (reply !== null) store.write(RECORD.reply, index, reply);
    updates.record(index, update);
  }

  #apply(replica: ReplicaId, from: number, through: number): void {
    const { fleet, updates, verified } = this.#parts;
    const link = fleet.link(replica);
    const frames = updates.inMemory(from, through);
    if (frames !== null) link?.send(frames);
    else if (link !== null) stream(link, verified.rest(from, through));
  }

  #import(replica: ReplicaId, through: number): void {
    const { fleet, verified } = this.#parts;
    const link = fleet.link(replica);
    const had = fleet.takeStartedOn(replica);
    const tell = (percent: number): void => fleet.tellLoaded(replica, percent);
    if (link !== null) stream(link, verified.state(had, through, tell));
  }

  #start(effect: Extract<Effect, { type: 'start' }>): void {
    assert(this.#startEntry !== null, 'entry 0 is ordered before any replica starts');
    this.#parts.store.write(RECORD.nextReplica, Number(effect.replica.slice(1)) + 1);
    this.#parts.fleet.start(effect.replica, effect, this.#startEntry);
  }

  #answer({ index, outcome }: Extract<Effect, { type: 'answer' }>): void {
    this.#parts.work.answer(index, outcome, outcome.type === 'skipped' ? this.#witness.hint(index) : '');
  }

  /**
   * Replicas have their state on the disk of the data folder. Where that is full, nobody can say what a replica did and what the disk:
   * none is blamed, and none could take its place. A new version is given up; what it took is free again then.
   */
  #fault(effect: Extract<Effect, { type: 'incident' }>): void {
    const { fleet } = this.#parts;
    const { replica } = effect.fault;
    const isNew = fleet.isNew(replica);
    const full = isNew ? null : fullDisk(this.#options.dataFolder);
    if (full !== null) return this.#handlers.onFailure(full);
    const incident = this.#witness.fault(effect);
    if (isNew) this.#whyNot = incident === null ? fleet.why(replica) : this.#inFull(incident);
    this.#incident(incident);
  }

  #incident(incident: Incident | null): void {
    if (incident === null) return;
    const { id, replica, index, kind, what } = incident;
    const version = replica !== null && this.#parts.fleet.isNew(replica) ? ' of the new version' : '';
    const who = replica === null ? '' : `replica ${replica}${version}, `;
    this.#handlers.onIncident();
    this.#options.log(`incident   ${id}: ${who}entry ${index}: ${kind}: ${what}`);
  }

  /** What replicas start from has changed on disk: nothing of that is started. */
  imageChanged(what: string, index: number): void {
    const { id } = this.#witness.imageChanged(what, index);
    this.#options.log(`incident   ${id}: ${what}`);
  }

  async #checkpoint({ index, digest }: Extract<Effect, { type: 'checkpoint' }>): Promise<void> {
    const { snapshots, store } = this.#parts;
    const file = await snapshots.commit(index, digest);
    if (file === null) return;
    store.write(RECORD.checkpoint, index, Buffer.from(JSON.stringify({ index, file, digest })));
    await store.durable();
    snapshots.inForce(index);
    this.#handlers.tell({ type: 'checkpointed', index: toIndex(index) });
  }

  #cannotStart(reason: 'start-failed' | 'start-differs'): SpareError {
    if (reason === 'start-differs') {
      const behind = this.#witness.startsDifferBehind();
      const message =
        'The replicas of the service start with different states, so it cannot be replicated.' +
        (behind === '' ? '' : ` What differs is written behind ${JSON.stringify(behind)}.`);
      const hint =
        'Its start writes something that is not a function of the agreed time and randomness, such as keys from OpenSSL. ' +
        'Start it once without Spare: a group begins with the databases that are there then.';
      return new SpareError('service-not-deterministic', message, { hint });
    }
    const latest = this.evidence.incidents.latest().at(-1);
    if (latest?.kind === 'image') {
      const hint = 'No replica starts from anything else than what was accepted.';
      return new SpareError('image-changed', latest.what, { hint });
    }
    const hint =
      'Try the command by itself; it must listen for HTTP on $PORT and keep its state in the --state files. ' +
      'Of programs and files, a copy has at most those of /usr, of the service folder, and beside the program that the command names.';
    const message = latest === undefined ? 'The service did not start.' : this.#inFull(latest);
    return new SpareError('service-start-failed', message, { hint });
  }

  /** Of the latest replica that was faulty, for who wants to know why nothing comes of a start. */
  #inFull({ what }: Incident): string {
    return withLastWords(what, this.#witness.lastWords);
  }
}

function stream(link: Link, sending: Sending): void {
  link.stream((write) => sending.send(write), sending);
}
