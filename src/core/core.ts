/**
 * The protocol as a pure state machine: events in, effects out. No clock, I/O, randomness or logging; `now` comes
 * with each event. One manager and many, production and simulator, run this code.
 *
 * This file is the table of what happens at which event; each concept has a file of its own: the order's window
 * (`order.ts`), the group (`group.ts`), this manager's replicas (`replicas.ts`), suspicion (`suspicion.ts`), refresh
 * (`refresh.ts`), votes (`quorum.ts`).
 *
 * C1. An entry is decided by f+1 equal votes of different members, or by an ordered `skip`; in order.
 * C2. It is answered once it is decided and durable, and so is every `skip` that its result rests on; once.
 * C3. Roles change only at ordered commands.
 */
import type { Command, SkipReason } from './entry.ts';
import type { Effect } from './effect.ts';
import type { Event, Vote } from './event.ts';
import type { FaultKind } from './fault.ts';
import { Group } from './group.ts';
import { index as toIndex, type Digest, type Index, type ReplicaId } from './ids.ts';
import { executingNow, type Local, settleOwed } from './local.ts';
import { Order } from './order.ts';
import { agreed, conflicting, sameVote } from './quorum.ts';
import type { CoreOptions } from './options.ts';
import { Refresh } from './refresh.ts';
import { Replicas } from './replicas.ts';
import { executable, outcomeOf, type Slot } from './slot.ts';
import { Deadline } from './deadline.ts';
import { skipPoison, supervise } from './suspicion.ts';
import { type CoreView, replicaView } from './view.ts';

export class Core {
  readonly options: CoreOptions;
  readonly order: Order = new Order();
  readonly group: Group;
  readonly replicas: Replicas;
  readonly deadline: Deadline;
  readonly #refresh: Refresh;
  readonly #proposed = new Set<string>();
  #durable = toIndex(-1);
  #answered = toIndex(-1);
  /** The last `skip` that took effect: what was executed after it rests on it. */
  #lastSkip = toIndex(-1);
  #decidedAt = 0;
  /** This run's own boot is ordered: there are replicas to take care of. */
  #booted = false;
  #effects: Effect[] = [];

  constructor(options: CoreOptions) {
    this.options = options;
    this.group = new Group(options.faults);
    this.deadline = new Deadline(options.deadline);
    this.#refresh = new Refresh(options.refresh);
    this.replicas = new Replicas(this);
  }

  get quorum(): number {
    return this.options.faults + 1;
  }

  /** When the last entry was decided, milliseconds. */
  get decidedAt(): number {
    return this.#decidedAt;
  }

  step(now: number, event: Event): Effect[] {
    this.#effects = [];
    this.#handle(now, event);
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
        this.order.recover(event.first, event.decided, event.time, event.tick);
        this.#answered = event.decided;
        for (const { key, fingerprint, index } of event.keys)
          this.order.remember({ key, fingerprint }, index);
        return;
      case 'boot':
        return this.propose(this.replicas.bootCommand());
      case 'ordered':
        return this.#ordered(now, this.order.append(event.index, event.entry, now));
      case 'durable':
        this.#durable = event.index;
        return this.#answer();
      case 'vote':
        return this.#voted(now, event.replica, event.index, event.vote);
      case 'digest':
        return this.#digested(now, event.replica, event.digest);
      case 'exported':
        return this.#exported(now, event.replica, event.digest);
      case 'checkpointed':
        return this.emit({ type: 'truncate-updates', through: event.index });
      case 'down':
        return this.#down(now, event.replica, event.kind);
      case 'clock':
        return this.#clock(now);
    }
  }

  #ordered(now: number, slot: Slot): void {
    const forgotten = slot.use?.type === 'first' ? slot.use.forgotten : null;
    if (forgotten !== null) this.emit({ type: 'forget-key', index: forgotten });
    if (slot.entry.type === 'command') this.#command(now, slot.index, slot.entry.command);
    else if (slot.index > this.order.decided && executable(slot)) this.replicas.feed(slot);
    this.#advance(now);
  }

  #command(now: number, at: Index, command: Command): void {
    const own = this.#proposed.delete(JSON.stringify(command));
    if (own && command.type === 'boot') this.#booted = true;
    if (command.type === 'expel' && (command.kind === 'crash' || command.kind === 'protocol')) {
      const slot = this.order.slot(command.index);
      if (slot !== undefined) slot.crashes++;
    }
    if (command.type === 'skip') this.#skip(now, at, command.index, command.reason);
    const change = this.group.apply(at, command);
    // Before the boot, commands only tell what happened to replicas that are gone.
    if (!this.#booted) return;
    this.replicas.changed(now, change, command.type);
    if (command.type === 'expel' || command.type === 'boot') skipPoison(this);
    supervise(this, now);
  }

  /** The entry gets no effect; whoever executes goes back to the verified state, and on without it. */
  #skip(now: number, at: Index, index: Index, reason: SkipReason): void {
    const slot = this.order.slot(index);
    if (slot === undefined || index <= this.order.decided || slot.skipped !== null) return;
    slot.skipped = reason;
    this.#lastSkip = at;
    if (slot.entry.type === 'mark') this.#refresh.cancel();
    for (const later of this.order.undecided()) if (later.index >= index) later.votes.clear();
    this.replicas.restore(now, slot);
  }

  #voted(now: number, replica: ReplicaId, index: Index, vote: Vote): void {
    const slot = this.order.slot(index);
    const local = this.replicas.get(replica);
    if (local === undefined) return;
    const owed = settleOwed(now, local, 'result');
    if (owed === null || owed.index !== index) return this.fault(now, local, 'protocol', this.order.decided);
    if (local.faulty) return;
    if (local.phase === 'starting') this.replicas.started(now, local);
    if (!owed.void && slot !== undefined && this.group.get(replica) !== undefined) {
      if (slot.votes.size === 0) slot.firstVoteAt = now;
      slot.votes.set(replica, vote);
      if (slot.decision !== null) this.#compare(now, slot, local, vote, slot.decision);
    }
    this.#advance(now);
  }

  #compare(now: number, slot: Slot, local: Local, vote: Vote, decision: Vote): void {
    if (sameVote(vote, decision)) return;
    const kind = vote.reply === decision.reply ? 'update' : slot.entry.type === 'mark' ? 'state' : 'reply';
    this.fault(now, local, kind, slot.index, { cast: vote, decided: decision });
  }

  /** Decides, answers and releases whatever can be. */
  #advance(now: number): void {
    for (let slot = this.order.next; slot !== undefined; slot = this.order.next) {
      if (executable(slot)) {
        slot.decision = agreed(slot.votes, this.quorum);
        if (slot.decision === null) break;
        this.#decide(now, slot, slot.decision);
      } else {
        this.order.decide(slot);
        this.#refresh.decided(0, now);
        this.#decidedAt = now;
      }
    }
    const stuck = this.order.next;
    if (this.#booted && stuck !== undefined && conflicting(stuck.votes)) supervise(this, now);
    this.#answer();
  }

  #decide(now: number, slot: Slot, decision: Vote): void {
    this.order.decide(slot);
    const since = Math.max(slot.firstVoteAt, this.#decidedAt);
    this.#decidedAt = now;
    if (slot.index > 0 && this.group.suspicion === null) this.deadline.observe(now - since);
    this.#refresh.decided(decision.updateBytes, now);
    this.emit({ type: 'record', index: slot.index, vote: decision, keyed: slot.use !== null });
    for (const [replica, vote] of slot.votes) {
      const local = this.replicas.get(replica);
      if (local !== undefined) this.#compare(now, slot, local, vote, decision);
    }
    if (slot.entry.type === 'mark') this.#beginRefresh(now, slot, decision.reply);
    if (slot.index === 0) this.replicas.startDecided(now, slot);
    if (this.group.suspicion !== null) supervise(this, now);
  }

  #answer(): void {
    const answerable = this.#durable < this.#lastSkip ? -1 : Math.min(this.order.decided, this.#durable);
    while (this.#answered < answerable) {
      this.#answered = toIndex(this.#answered + 1);
      const slot = this.order.slot(this.#answered);
      if (slot?.entry.type === 'request') {
        this.emit({ type: 'answer', index: slot.index, outcome: outcomeOf(slot) });
      }
    }
    const owed = this.replicas.oldestOwed();
    const through = Math.min(this.#answered, owed === null ? this.#answered : owed - 1);
    for (const index of this.order.release(toIndex(through))) this.emit({ type: 'release', index });
  }

  #beginRefresh(now: number, { index, time, tickFrom }: Slot, digest: Digest): void {
    this.#refresh.begin(index, digest);
    // The time at the mark: entries behind it are ordered already, and must get the same time after a restart.
    this.emit({ type: 'truncate-order', through: index, time, tick: tickFrom });
    this.#continueRefresh(now);
  }

  /** The next passive replica's turn; the round ends with the last one, or when a suspicion woke them all. */
  #continueRefresh(now: number): void {
    const { round } = this.#refresh;
    if (round === null || this.replicas.refreshing()) return;
    if (this.group.suspicion === null && this.replicas.refreshNext(now, round)) return;
    const ended = this.#refresh.end(this.quorum);
    if (ended === null) return;
    this.emit({ type: 'refreshed', through: this.replicas.appliedByAll() });
    if (ended.checkpoint !== null) {
      this.emit({ type: 'checkpoint', index: ended.mark, digest: ended.checkpoint });
    }
    const disputed = ended.disputed === null ? undefined : this.replicas.get(ended.disputed);
    if (disputed !== undefined) this.fault(now, disputed, 'state', ended.mark);
  }

  #digested(now: number, replica: ReplicaId, digest: Digest): void {
    const local = this.replicas.get(replica);
    if (local === undefined) return;
    const owed = settleOwed(now, local, 'digest');
    if (owed === null) return this.fault(now, local, 'protocol', this.order.decided);
    if (local.faulty) return;
    if (owed.expected !== null && owed.expected !== digest)
      return this.fault(now, local, 'state', owed.index);
    if (local.phase === 'joining') this.replicas.confirmed(now, local);
    this.replicas.refreshed(local);
    this.#continueRefresh(now);
  }

  #exported(now: number, replica: ReplicaId, digest: Digest): void {
    const local = this.replicas.get(replica);
    if (local === undefined) return;
    const owed = settleOwed(now, local, 'export');
    if (owed === null) return this.fault(now, local, 'protocol', this.order.decided);
    if (local.faulty) return;
    this.#refresh.exported(replica, owed.index, digest);
    this.replicas.refreshed(local);
    this.#continueRefresh(now);
  }

  #down(now: number, replica: ReplicaId, kind: 'crash' | 'protocol'): void {
    const local = this.replicas.get(replica);
    if (local === undefined) return;
    this.fault(now, local, kind, executingNow(local) ?? this.order.decided);
  }

  /** Writes up a fault and removes its replica; once. */
  fault(
    now: number,
    local: Local,
    kind: FaultKind,
    index: Index,
    votes: { readonly cast: Vote; readonly decided: Vote } | null = null,
  ): void {
    if (local.faulty) return;
    local.faulty = true;
    this.emit({ type: 'incident', fault: { replica: local.id, kind, index }, variant: local.variant, votes });
    for (const slot of this.order.undecided()) slot.votes.delete(local.id);
    this.replicas.failed(now, local);
    if (this.group.get(local.id) === undefined) this.replicas.remove(local);
    else this.propose({ type: 'expel', replica: local.id, kind, index });
  }

  #clock(now: number): void {
    if (!this.#booted) return;
    supervise(this, now);
    this.#continueRefresh(now);
    if (this.group.suspicion === null && this.#refresh.due(now)) this.emit({ type: 'append-mark' });
  }

  view(): CoreView {
    return {
      ordered: this.order.head,
      decided: this.order.decided,
      suspicion: this.group.suspicion !== null,
      updateLog: { entries: this.#refresh.entries, bytes: this.#refresh.bytes },
      replicas: [...this.replicas.all()].map((local) => replicaView(this, local)),
    };
  }
}
