/**
 * What must hold after every step, whatever happens; knows nothing of scenarios. Each finding carries the id of the promise
 * in `docs/PROMISES.md` that is broken (`C`: the managers' own agreement, on which all of them rest;
 * `X`: the tables of `transitions.ts`).
 */
import type { Core } from '../src/core/core.ts';
import type { Effect } from '../src/core/effect.ts';
import type { Event, Vote } from '../src/core/event.ts';
import type { FaultKind } from '../src/core/fault.ts';
import type { ReplicaId } from '../src/core/ids.ts';
import type { Replica } from '../src/core/testing/replica.ts';
import { Bounds } from './bounds.ts';
import { Decisions, digestsOf } from './decisions.ts';
import { Duties } from './duties.ts';
import { Rounds } from './rounds.ts';
import { Sent } from './sent.ts';
import type { Call } from './clients.ts';
import { answeredOf, History } from './history.ts';
import type { Host } from './host.ts';
import { Movements } from './movements.ts';
import type { Simulation } from './simulation.ts';
import { Turns } from './turns.ts';
import { promise } from './violation.ts';

interface HostNotes {
  readonly duties: Duties;
  readonly rounds: Rounds;
  readonly turns: Turns;
  decided: number;
  answered: number;
  readonly sent: Sent;
  readonly unreleased: Set<number>;
  /** It was out of the view: what it holds is compared once it takes part again. */
  doubtful: boolean;
  /** While it was out of the view it took over a state of the others, which replaces what it had decided up to here. */
  replaced: number;
  /** What is noted of its present life. */
  boot: number;
  reached: number;
}

const SLOTS_MAX = 5000;
/** Entries that may be ordered between a mark being due and being ordered. */
const IN_WORK_MAX = 50;

export class Checks {
  readonly decisions: Decisions;
  readonly history: History = new History();
  readonly movements: Movements = new Movements();
  readonly #bounds: Bounds;
  readonly #sim: Simulation;
  readonly #notes = new Map<Host, HostNotes>();
  /** Who ever cast which vote. */
  readonly #votes = new Map<number, Map<string, Set<ReplicaId>>>();
  readonly #roles = new Map<number, string>();
  /** How far each manager decided in each of its lives. */
  readonly #reached = new Map<string, number>();
  /** All that were ever started, and their versions. */
  readonly #startedEver = new Map<ReplicaId, number>();
  /** Said a wrong digest of their state when they were refreshed. */
  readonly #wrong = new Set<ReplicaId>();
  /** Entries that one manager alone had decided, and the others decided otherwise without it. */
  superseded = 0;
  /** Entries whose decision was lost with all that knew it. */
  lost = 0;

  constructor(sim: Simulation) {
    this.#sim = sim;
    this.#bounds = new Bounds(sim);
    this.decisions = new Decisions(sim.options.core.keysMax);
  }

  started(host: Host): void {
    const { decided } = host.store;
    this.#notes.set(host, {
      duties: new Duties(this.#sim, host),
      rounds: new Rounds(),
      turns: new Turns(),
      decided,
      answered: decided,
      sent: new Sent(this.decisions),
      unreleased: new Set(),
      doubtful: decided >= 0,
      replaced: -1,
      boot: -1,
      reached: -1,
    });
  }

  crashed(host: Host): void {
    this.#notes.delete(host);
    let held = -1;
    for (const other of this.#sim.hosts)
      held = Math.max(held, other.store.decided, other.core?.order.decided ?? -1);
    const from = this.decisions.lose(held);
    if (from === null) return;
    this.lost++;
    this.history.forget(from);
  }

  cut(last: number): void {
    this.decisions.cut(last);
    for (const index of this.#votes.keys()) if (index > last) this.#votes.delete(index);
    for (const index of this.#roles.keys()) if (index > last) this.#roles.delete(index);
  }

  cast(host: Host, replica: ReplicaId, index: number, { reply, update }: Vote): void {
    if (!this.#sim.faults.isBroken(replica)) this.#of(host).duties.voted(replica, index);
    const votes = this.#votes.get(index) ?? new Map<string, Set<ReplicaId>>();
    const text = `${reply} ${update}`;
    votes.set(text, (votes.get(text) ?? new Set()).add(replica));
    this.#votes.set(index, votes);
  }

  #of(host: Host): HostNotes {
    const notes = this.#notes.get(host);
    if (notes === undefined) throw new Error('a host that is up has notes');
    return notes;
  }

  told(host: Host, call: Call): void {
    const of = answeredOf(call) ?? -1;
    const takesPart = this.#sim.takesPart(host);
    const known = [...(host.core?.peers.view() ?? [])].filter(([, { decided }]) => decided >= of);
    const isKnown = takesPart || known.some(([manager, { boot }]) => this.#sim.isInView(manager, boot));
    this.history.told(call, takesPart, isKnown);
  }

  // One step of one manager.

  stepped(host: Host, core: Core, event: Event, effects: readonly Effect[]): void {
    const notes = this.#of(host);
    notes.duties.told(core, event);
    if (!core.alone) notes.rounds.stepped(core, event);
    notes.turns.told(core, event);
    if (event.type === 'ordered') {
      if (event.index > notes.decided) notes.unreleased.add(event.index);
      const known = core.booted || !this.#sim.order.embedded;
      if (event.entry.type === 'command' && known) this.#checkRoles(host, core, event.index);
      const skip = effects.find((effect) => effect.type === 'skipped');
      if (skip !== undefined) this.decisions.keys.skipped(event.index, skip);
    }
    for (const effect of effects) {
      this.#effect(host, core, notes, effect);
      notes.turns.effect(core, effect);
    }
    this.movements.stepped(host, core, event, effects);
    this.#bounds.stepped(host, core, event, effects);
  }

  /** After its effects are carried out. */
  settled(host: Host, core: Core): void {
    const notes = this.#of(host);
    if (notes.doubtful && core.booted && this.#sim.takesPart(host)) this.#rejoined(host, notes);
    if (core.order.decided > notes.decided) this.#decided(host, core, notes);
    const boot = core.managers.bootOf(host.id);
    if (core.booted && (notes.reached !== core.order.decided || notes.boot !== boot)) {
      notes.boot = boot;
      notes.reached = core.order.decided;
      this.#reached.set(`${host.id} ${boot}`, notes.reached);
    }
    if (notes.unreleased.size > SLOTS_MAX) promise(false, 'P7', () => `${host.id} keeps too many entries`);
  }

  #decided(host: Host, core: Core, notes: HostNotes): void {
    // Who is out of the view and does not know it yet decides nothing that counts; it is compared when it is back.
    if (!this.#sim.takesPart(host)) notes.doubtful = true;
    const jumped = this.#jump ?? -1;
    this.#jump = null;
    for (
      let index = Math.max(notes.decided, jumped) + 1;
      index <= core.order.decided && !notes.doubtful;
      index++
    ) {
      const recorded = host.store.recordOf(index) ?? null;
      const vote = recorded === null ? null : digestsOf(recorded);
      if (this.decisions.differs(index, vote)) this.#supersede(core, index);
      this.decisions.decide(host.id, index, vote, recorded);
    }
    notes.decided = core.order.decided;
    if (jumped >= 0) this.#compare(host, jumped);
  }

  /** It takes part (again): what it holds must be what was decided. */
  #rejoined(host: Host, notes: HostNotes): void {
    notes.doubtful = false;
    if (this.#jump !== null) return;
    // What it alone knows comes out below, entry by entry.
    notes.decided = Math.min(notes.decided, this.decisions.decided);
    this.#compare(host, notes.decided);
  }

  #compare(host: Host, at: number): void {
    promise(at <= this.decisions.decided, 'C', () => `${host.id} has decided ${at}, which nobody has`);
    const fits = host.store.state(at) === this.decisions.state(at);
    promise(fits, 'C', () => `${host.id} has another state at ${at}`);
  }

  /** Decided otherwise before: right only if all that knew it are out of the view, and nobody was told. */
  #supersede(core: Core, index: number): void {
    for (const host of this.#sim.hosts) {
      const held = host.core?.order.decided ?? host.store.decided;
      if (host.core !== core && held >= index && core.managers.has(host.id) && this.#sim.takesPart(host))
        return;
    }
    // Enough managers knew it when it was answered (`#known`), so more than f of them failed since. What is a function of
    // the order comes out the same again; only a result of chance may then be another one.
    const answered = this.history.answered(index);
    const chance = this.decisions.uncertain(index);
    promise(chance || !answered, 'P2', () => `entry ${index} was answered, and is decided anew`);
    this.history.forget(index);
    this.decisions.supersede(index);
    this.superseded++;
  }

  /** A whole state that was taken in the step that is being checked. */
  #jump: number | null = null;

  /** Every manager has the same roles at the same index, and f+1 are active while nothing is suspected. */
  #checkRoles(host: Host, core: Core, index: number): void {
    const { group, agreement } = core;
    const roles = [...group.members()].map(({ replica, role }) => `${replica} ${role}`).join(',');
    const text = `${roles} ${group.suspicion} ${agreement.mode} ${agreement.floor} ${agreement.round}`;
    const known = this.#roles.get(index);
    if (known === undefined) this.#roles.set(index, text);
    else promise(known === text, 'C', () => `${host.id} has other roles at ${index}: ${text}, not ${known}`);
    const calm = this.#sim.options.calm && group.suspicion !== null;
    promise(!calm, 'P5', () => `a suspicion at ${index}, and nothing went wrong`);
    const active = group.active().length;
    const most = this.#sim.options.faults + 1;
    promise(group.suspicion !== null || active <= most, 'C', () => `${active} are active at ${index}`);
    promise(group.size <= 2 * most, 'C', () => `${group.size} members at ${index}`);
  }

  #effect(host: Host, core: Core, notes: HostNotes, effect: Effect): void {
    // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- only some promise something
    switch (effect.type) {
      case 'append-command':
        return notes.duties.asked(effect);
      case 'forget-key': {
        const right = this.decisions.keys.forgottenAt(effect.at) === effect.index;
        return promise(right, 'P2', () => `${host.id} forgets the key of ${effect.index} at ${effect.at}`);
      }
      case 'truncate-order':
        return notes.duties.truncatesOrder(core, effect);
      case 'truncate-updates':
        return notes.duties.truncatesUpdates(effect);
      case 'record':
        return this.#record(host, notes, effect);
      case 'incident':
        return this.#blamed(effect);
      case 'take-state':
        if (effect.index > notes.decided) this.#jump = effect.index;
        if (notes.doubtful && !core.booted && effect.index >= notes.decided) notes.replaced = notes.decided;
        return;
      case 'answer':
        return this.#answered(host, core, notes, effect);
      case 'release':
        notes.duties.released(effect);
        promise(
          notes.unreleased.delete(effect.index),
          'P7',
          () => `${host.id} releases ${effect.index} again`,
        );
        return;
      case 'start':
        promise(!this.#startedEver.has(effect.replica), 'P6', () => `${effect.replica} is started twice`);
        this.#startedEver.set(effect.replica, effect.version);
        return notes.sent.start(effect);
      case 'suspend': {
        const executed = host.replicas.get(effect.replica)?.executes === true;
        return promise(!executed, 'P4', () => `${effect.replica} executed, and is to be passive`);
      }
      case 'apply':
        return notes.sent.apply(core, effect);
      case 'import':
        return notes.sent.import(core, effect);
      case 'execute':
        this.#execute(core, notes, effect);
        return notes.sent.execute(core, effect);
      case 'checkpoint':
        return promise(
          effect.digest === this.decisions.state(effect.index),
          'P4',
          () => `the checkpoint at ${effect.index} is wrong`,
        );
      default:
    }
  }

  #answered(host: Host, core: Core, notes: HostNotes, answer: Extract<Effect, { type: 'answer' }>): void {
    const { index, outcome } = answer;
    promise(index > notes.answered, 'P2', () => `${host.id} answers ${index} again`);
    promise(index <= host.durableTold, 'P2', () => `${index} is answered before it is durable`);
    promise(index <= core.order.decided, 'P1', () => `${index} is answered undecided`);
    notes.answered = index;
    const wasReplaced = index <= notes.replaced && outcome.type === 'reply' && outcome.digest !== null;
    promise(!wasReplaced, 'P2', () => `${host.id} answers ${index} with what was replaced`);
    notes.duties.answered(answer);
    this.#known(core, index);
  }

  /** No sound replica is blamed, as long as nothing else has a part in what it is blamed for. */
  #blamed({ fault: { replica, kind } }: Extract<Effect, { type: 'incident' }>): void {
    promise(!this.#sim.options.calm, 'P6', () => `${replica} is blamed (${kind}), and nothing went wrong`);
    if (!this.#isOwn(kind)) return;
    promise(this.#sim.faults.isBroken(replica), 'P6', () => `${replica} is sound, and blamed: ${kind}`);
  }

  /** What can be nobody's doing but the replica's: not that of requests, of a service that changed, or of another one that lies. */
  #isOwn(kind: FaultKind): boolean {
    const { decisions } = this;
    const { exportsLie, keptFromStarting } = this.#sim.faults;
    switch (kind) {
      case 'reply':
      case 'update':
        return decisions.certain;
      case 'state':
        return decisions.certain && !exportsLie;
      case 'late':
      case 'crash':
      case 'protocol':
        return decisions.harmless && !keptFromStarting;
    }
  }

  /** D3: f+1 managers, or all of the view, had decided it in their present lives. */
  #known(core: Core, index: number): void {
    let known = 0;
    for (const id of core.managers.ids()) {
      if ((this.#reached.get(`${id} ${core.managers.bootOf(id)}`) ?? -1) >= index) known++;
    }
    // The one that answers has decided it in this very step.
    const needed = Math.min(this.#sim.options.faults + 1, core.managers.size) - 1;
    promise(known >= needed, 'P2', () => `entry ${index} is answered, and ${known} managers know it`);
  }

  #record(host: Host, notes: HostNotes, { index, vote }: Extract<Effect, { type: 'record' }>): void {
    promise(index > notes.decided, 'P2', () => `${host.id} records ${index} again`);
    const voters = this.#votes.get(index)?.get(`${vote.reply} ${vote.update}`) ?? new Set();
    const { faults } = this.#sim.options;
    promise(voters.size > faults, 'P1', () => `entry ${index} is decided by ${voters.size} votes`);
    const versions = new Map<number, number>();
    for (const replica of voters) {
      const version = this.#startedEver.get(replica) ?? 0;
      versions.set(version, (versions.get(version) ?? 0) + 1);
    }
    const one = [...versions.values()].some((count) => count > faults);
    promise(one, 'P1', () => `entry ${index} is decided by two versions together`);
  }

  #execute(core: Core, notes: HostNotes, { replica, index }: Extract<Effect, { type: 'execute' }>): void {
    const { takeover } = core.group;
    const isOut = takeover?.out.some((member) => member.replica === replica) === true;
    // The only manager lets the old one go on beside the new one; but never two versions.
    const together = core.alone && this.#startedEver.get(replica) === core.succession.version;
    const isOld = isOut && index > takeover.at && !together;
    const isNew = takeover?.by.includes(replica) === true && index < takeover.at;
    promise(!isOld && !isNew, 'C', () => `${replica} executes ${index}, which is not its own to execute`);
    promise(index > notes.decided, 'P3', () => `${replica} executes ${index}, which is decided`);
  }

  // Replicas.

  /** A replica did something: is what it holds the verified state, as long as it never executed? */
  worked(host: Host, replica: Replica): void {
    const { core } = host;
    if (core === null || !this.#sim.takesPart(host) || replica.executes || replica.spoilt || replica.at < 0)
      return;
    promise(replica.at <= Math.max(0, core.order.decided), 'P4', () => `${replica.id} is ahead`);
    if (this.decisions.decided < replica.at || core.group.get(replica.id) === undefined) return;
    const right = this.decisions.state(replica.at);
    promise(replica.state === right, 'P4', () => `${replica.id} holds another state at ${replica.at}`);
  }

  digested({ core }: Host, { id, behaviour }: Replica): void {
    if (behaviour.lie === 'digest' && core?.replicas.get(id)?.phase === 'refreshing') this.#wrong.add(id);
  }

  /** Once all is quiet. */
  finished(): void {
    this.history.check(this.decisions);
    this.#checkMarks();
    this.#bounds.finished();
    for (const { core } of this.#sim.hosts) {
      for (const { id } of core?.replicas.all() ?? [])
        promise(!this.#wrong.has(id), 'P6', () => `${id} said a wrong digest of its state, and stays`);
    }
  }

  /** The order is marked in time, so that it can be truncated; a checkpoint that waits for the disk comes first. */
  #checkMarks(): void {
    const { order, options } = this.#sim;
    if (!options.calm || options.diskMs > 0) return;
    const last = order.lines.findLastIndex(({ kind }) => kind === 'mark');
    const most = options.core.refresh.ordered + IN_WORK_MAX;
    promise(order.head - last <= most, 'P7', () => `no mark since ${last}`);
  }

  /** What is still held though all is quiet. */
  leftovers(): string[] {
    const left: string[] = [];
    for (const [host, { unreleased }] of this.#notes) {
      if (unreleased.size > 0) left.push(`${host.id} keeps ${[...unreleased].slice(0, 5).join()}`);
    }
    return left;
  }
}
