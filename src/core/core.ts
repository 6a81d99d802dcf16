/**
 * The protocol as a pure state machine: events in, effects out. No clock, I/O, randomness or logging; `now` comes
 * with each event. One manager and many, production and simulator, run this code.
 *
 * This file is the table of what happens at which event; each concept has a file of its own: the order's window
 * (`order.ts`), ordered state (`membership.ts`: view, group, who decides), from votes to answers (`deciding.ts`), this
 * manager's replicas (`replicas.ts`, `rotating.ts`, `succession.ts`) and what they are sent (`feeding.ts`), suspicion
 * (`suspicion.ts`, `settling.ts`), refresh (`refreshing.ts`), the other managers (`peers.ts`, `catching-up.ts`), a manager's
 * own coming and going (`presence.ts`).
 *
 * C1. An entry is decided by f+1 equal votes of different members, or by an ordered `skip`; in order.
 * C2. It is answered once it is decided and durable, and so is all that its result rests on; once.
 * C3. Roles change only at ordered commands.
 */
import type { Agreement } from './agreement.ts';
import { CatchingUp } from './catching-up.ts';
import { Deadline } from './deadline.ts';
import { Deciding } from './deciding.ts';
import type { Effect } from './effect.ts';
import type { Command, SkipReason } from './entry.ts';
import type { Event, Vote } from './event.ts';
import type { FaultKind } from './fault.ts';
import { Feeding } from './feeding.ts';
import type { Group } from './group.ts';
import { assert, index as toIndex, type Index, type ReplicaId } from './ids.ts';
import { type KeyUse, notKept } from './keys.ts';
import { executingNow, type Local } from './local.ts';
import type { Managers } from './managers.ts';
import { Membership } from './membership.ts';
import type { CoreOptions } from './options.ts';
import { Order } from './order.ts';
import { Patience } from './patience.ts';
import { Peers } from './peers.ts';
import { skipPoison } from './poison.ts';
import { Presence } from './presence.ts';
import { Refreshing } from './refreshing.ts';
import { Remotes } from './remotes.ts';
import { Replicas } from './replicas.ts';
import { rotate } from './rotating.ts';
import { Said } from './said.ts';
import { executable, type Slot } from './slot.ts';
import { Succession } from './succession.ts';
import { supervise } from './suspicion.ts';
import { type CoreView, replicaView } from './view.ts';

export class Core {
  readonly options: CoreOptions;
  /** There is only one manager. */
  readonly alone: boolean;
  readonly order: Order;
  readonly membership: Membership;
  readonly replicas: Replicas;
  readonly feeding: Feeding;
  readonly remotes: Remotes = new Remotes();
  readonly deadline: Deadline;
  readonly patience: Patience;
  readonly deciding: Deciding;
  readonly refreshing: Refreshing;
  readonly succession: Succession;
  readonly peers: Peers;
  readonly catchingUp: CatchingUp;
  readonly presence: Presence;
  readonly said: Said;
  readonly #proposed = new Set<string>();
  /** Skipped entries with a key that are known from before a restart. */
  #skips: ReadonlyMap<Index, SkipReason> = new Map();
  #round = toIndex(-1);
  #effects: Effect[] = [];

  constructor(options: CoreOptions) {
    this.options = options;
    this.alone = options.managers.length === 1;
    this.order = new Order(options.keysMax);
    this.membership = new Membership(options.faults, this.alone);
    this.deadline = new Deadline(options.deadline);
    this.patience = new Patience(this);
    this.deciding = new Deciding(this);
    this.refreshing = new Refreshing(this);
    this.succession = new Succession(this);
    this.replicas = new Replicas(this);
    this.feeding = new Feeding(this);
    this.peers = new Peers(this);
    this.catchingUp = new CatchingUp(this);
    this.presence = new Presence(this);
    this.said = new Said(this);
  }

  get quorum(): number {
    return this.options.faults + 1;
  }

  get group(): Group {
    return this.membership.group;
  }

  get managers(): Managers {
    return this.membership.managers;
  }

  get agreement(): Agreement {
    return this.membership.agreement;
  }

  get booted(): boolean {
    return this.presence.booted;
  }

  /** Decisions are the order's now. */
  get orders(): boolean {
    return !this.alone && (this.agreement.mode === 'ordered' || this.order.decided < 0);
  }

  step(now: number, event: Event): Effect[] {
    this.#effects = [];
    this.#handle(now, event);
    this.peers.flush();
    return this.#effects;
  }

  emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** Asks for a command, once until it is ordered. */
  propose(command: Command): void {
    const text = JSON.stringify(command);
    if (this.#proposed.has(text)) return;
    this.#proposed.add(text);
    this.emit({ type: 'append-command', command });
  }

  #handle(now: number, event: Event): void {
    switch (event.type) {
      case 'recovered':
        return this.#recovered(event);
      case 'boot':
        return this.presence.start();
      case 'ordered':
        return this.#ordered(now, this.order.append(event.index, event.entry, now));
      case 'durable':
        return this.deciding.durable(event.index);
      case 'recorded':
        return this.refreshing.recorded(event.index);
      case 'vote':
        return this.deciding.voted(now, event.replica, event.index, event.vote);
      case 'digest':
        return this.refreshing.digested(now, event.replica, event.digest, event.stateBytes);
      case 'exported':
        return this.refreshing.exported(now, event.replica, event.digest);
      case 'paused':
        return this.replicas.paused(now, event.replica, event.paused);
      case 'checkpointed':
        return this.refreshing.checkpointed(event.index);
      case 'down':
        return this.#down(now, event.replica, event.kind);
      case 'startable':
        return this.replicas.startable();
      case 'rotate':
        return rotate(this, event.replica);
      case 'deploy':
        return this.succession.begin(now, event.variants);
      case 'peer':
        return this.peers.receive(now, event.from, event.message);
      case 'peer-down':
        return this.presence.dismiss(event.manager);
      case 'fetched':
        return this.catchingUp.fetched(now, event.index, event.vote, event.found);
      case 'state-fetched':
        return this.catchingUp.stateFetched(now, event.index);
      case 'clock':
        return this.#clock(now);
    }
  }

  #recovered(event: Extract<Event, { type: 'recovered' }>): void {
    this.order.recover(event.first, event.decided, event.time, event.tick);
    this.deciding.recover(event.decided);
    for (const { index, ...key } of event.keys) this.#keyUsed(this.order.remember(key, index), index);
    this.#skips = new Map(event.skips.map(({ index, reason }) => [index, reason]));
    for (const { index, reason } of event.skips) if (reason === 'poison') this.order.skip(index, reason);
    if (event.state !== null) this.membership.restore(event.state);
    this.#round = this.agreement.round;
    this.refreshing.recover(event.decided);
    this.presence.recovered(event.first, event.decided, event.state !== null);
  }

  #keyUsed(use: KeyUse, index: Index): void {
    const forgotten = notKept(use, index);
    if (forgotten !== null) this.emit({ type: 'forget-key', index: forgotten, at: index });
  }

  #ordered(now: number, slot: Slot): void {
    if (slot.use !== null) this.#keyUsed(slot.use, slot.index);
    if (slot.entry.type === 'mark') {
      this.membership.marked(slot.index);
      this.refreshing.marked(slot);
    }
    if (slot.entry.type === 'command') this.#command(now, slot.index, slot.entry.command);
    else if (slot.index > this.order.decided && executable(slot)) this.feeding.feed(slot);
    this.catchingUp.ordered(now);
    this.peers.release(now);
    this.deciding.advance(now);
  }

  #command(now: number, at: Index, command: Command): void {
    const own = this.#proposed.delete(JSON.stringify(command));
    if (command.type === 'expel') this.#countCrash(command);
    const change = this.membership.apply(at, command);
    if (command.type === 'skip') this.#skip(now, at, command.index, command.reason);
    if (command.type === 'decide') this.#decide(at, command, own);
    if (command.type === 'report') this.#reopen();
    this.#newRound();
    this.presence.commanded(now, at, command, own);
    // Before the boot, commands only tell what happened to replicas that are gone.
    if (!this.booted) return;
    this.replicas.changed(now, change, command.type);
    if (command.type === 'succeed') this.succession.ordered(command);
    if (command.type === 'join') this.replicas.refused(command.member.replica);
    if (command.type === 'expel' || command.type === 'boot' || command.type === 'report') skipPoison(this);
    supervise(this, now);
  }

  #countCrash({ replica, kind, index }: Extract<Command, { type: 'expel' }>): void {
    if (kind !== 'crash' && kind !== 'protocol') return;
    const slot = this.order.slot(index);
    if (slot !== undefined && (this.alone || this.group.get(replica) !== undefined)) slot.crashes++;
  }

  /** The view or the way of deciding changed: what is not decided is open again. */
  #newRound(): void {
    const { round, mode } = this.agreement;
    if (round === this.#round || mode !== 'reporting') return;
    this.#round = round;
    this.order.unchoose();
    this.remotes.unchoose();
  }

  /** What rested on an entry that is open again is open, too (A2 in `agreement.ts`). */
  #reopen(): void {
    for (const slot of this.order.undecided()) {
      if (slot.ordered === null || this.agreement.has(slot.index)) continue;
      slot.ordered = null;
      this.order.unchoose();
    }
  }

  #decide(at: Index, { round, votes }: Extract<Command, { type: 'decide' }>, own: boolean): void {
    if (own) this.said.deciding = false;
    for (const { index, vote } of this.agreement.decide(round, votes)) {
      this.deciding.restsOn(at);
      const slot = this.order.slot(index);
      if (slot !== undefined && index > this.order.decided) slot.ordered = vote;
    }
  }

  /** The entry gets no effect; whoever executes goes back to the verified state, and on without it. */
  #skip(now: number, at: Index, index: Index, reason: SkipReason): void {
    const slot = this.order.slot(index);
    const open = slot !== undefined && index > this.order.decided && slot.skipped === null;
    const holds = this.alone ? open : this.agreement.skip(index);
    // Where it is decided already, only what was known before the restart says whether it was by this skip.
    if (holds || this.#skips.has(index)) this.#skipKey(at, index, this.#skips.get(index) ?? reason);
    if (!holds) return;
    this.deciding.restsOn(at);
    // Also where it is long known that the entry was skipped: after a restart, votes must be void from the same place on.
    for (const later of this.order.undecided()) if (this.#voided(later, index)) this.#void(later, at);
    if (open) {
      assert(index > this.order.chosen, 'A2: what is skipped was not chosen');
      slot.skipped = reason;
      this.emit({ type: 'skipped', index, reason });
      if (slot.entry.type === 'mark') this.refreshing.cancel();
    }
    this.feeding.restore(now, index, reason);
  }

  #skipKey(at: Index, index: Index, reason: SkipReason): void {
    if (this.order.skip(index, reason)) this.emit({ type: 'forget-key', index, at });
  }

  #voided(slot: Slot, skipped: Index): boolean {
    if (this.alone) return slot.index >= skipped;
    return slot.index > this.agreement.floor && slot.ordered === null;
  }

  #void(slot: Slot, at: Index): void {
    slot.votes.clear();
    slot.epoch = at;
  }

  #down(now: number, replica: ReplicaId, kind: 'crash' | 'protocol'): void {
    const local = this.replicas.get(replica);
    if (local === undefined) return;
    const at = executingNow(local);
    // When it was busy with nothing, no entry is to blame.
    this.fault(now, local, kind, at ?? this.order.decided, null, at ?? toIndex(-1));
  }

  /** Writes up a fault and removes its replica; once. */
  fault(
    now: number,
    local: Local,
    kind: FaultKind,
    index: Index,
    votes: { readonly cast: Vote; readonly decided: Vote } | null = null,
    blamed: Index = index,
  ): void {
    if (local.faulty) return;
    local.faulty = true;
    this.emit({ type: 'incident', fault: { replica: local.id, kind, index }, variant: local.variant, votes });
    this.order.forgetVotes(local.id);
    if (this.succession.isSuccessor(local)) {
      this.replicas.remove(local);
      return this.succession.failed();
    }
    this.replicas.failed(now, local);
    if (this.group.get(local.id) === undefined) this.replicas.remove(local);
    else this.propose({ type: 'expel', replica: local.id, kind, index: blamed });
  }

  #clock(now: number): void {
    this.presence.clock(now);
    this.catchingUp.clock(now);
    if (!this.booted) return;
    supervise(this, now);
    this.feeding.goOn(now);
    this.refreshing.clock(now);
  }

  view(): CoreView {
    return {
      ordered: this.order.head,
      decided: this.order.decided,
      suspicion: this.group.suspicion !== null,
      updateLog: { entries: this.refreshing.entries, bytes: this.refreshing.bytes },
      replicas: [...this.replicas.all()].map((local) => replicaView(this, local)),
    };
  }
}
