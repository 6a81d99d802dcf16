/**
 * From votes to decisions to answers.
 *
 * D1. Chosen is what the order decided, what a peer decided, or what f+1 equal votes say, where a manager may decide by
 *     itself (`agreement.ts`); decided is it once reply and update are at hand.
 * D2. A vote counts only while it is known that its replica gave the decided result for every entry before.
 * D3. An entry is answered once it is decided, it and what its result rests on are durable, and f+1 managers (or all of
 *     the view) are known to have decided it.
 */
import type { Core } from './core.ts';
import type { Vote } from './event.ts';
import { index as toIndex, type Index, type ReplicaId } from './ids.ts';
import { type Local, settleOwed } from './local.ts';
import type { CastVote } from './message.ts';
import { begun } from './patience.ts';
import { agreed, conflicting, sameVote, type Votes } from './quorum.ts';
import { executable, isAtHand, outcomeOf, type Slot } from './slot.ts';
import { handOver } from './rotating.ts';
import { oldestOwedHere } from './standing.ts';
import { supervise } from './suspicion.ts';

/** Entries that are answered here and kept for managers that have not decided them yet. */
const KEPT_FOR_PEERS = 512;

export class Deciding {
  readonly #core: Core;
  #durable = toIndex(-1);
  #answered = toIndex(-1);
  /** The last ordered `skip` or `decide` that took effect: what was decided after it rests on it. */
  #restsOn = toIndex(-1);
  #decidedAt = 0;
  /** What was decided, for peers that ask. */
  readonly #decisions = new Map<Index, Vote>();
  /** Decisions up to here are not known. */
  #forgotten = toIndex(-1);

  constructor(core: Core) {
    this.#core = core;
  }

  get decidedAt(): number {
    return this.#decidedAt;
  }

  get answered(): Index {
    return this.#answered;
  }

  get forgotten(): Index {
    return this.#forgotten;
  }

  recover(decided: Index): void {
    this.#answered = decided;
    this.#forgotten = decided;
  }

  durable(index: Index): void {
    this.#durable = index;
    this.answer();
  }

  restsOn(at: Index): void {
    this.#restsOn = at;
  }

  /** A result of a replica of this manager. */
  voted(now: number, replica: ReplicaId, index: Index, vote: Vote): void {
    const core = this.#core;
    const slot = core.order.slot(index);
    const local = core.replicas.get(replica);
    if (local === undefined) return;
    const workMs = slot === undefined ? Infinity : now - begun(local, slot);
    const owed = settleOwed(now, local, 'result');
    if (owed === null || owed.index !== index) return core.fault(now, local, 'protocol', core.order.decided);
    if (local.faulty) return;
    if (local.phase === 'starting') core.replicas.started(now, local, owed.void ? null : vote);
    if (!owed.void && slot !== undefined && core.group.get(replica) !== undefined) {
      if (!isAtHand(slot, vote)) slot.atHand.push(vote);
      this.#cast(now, slot, replica, vote, workMs);
      core.peers.voted(local, slot, vote);
      if (slot.decision !== null) this.#compare(now, slot, local, vote, slot.decision);
    }
    this.advance(now);
    if (core.group.suspicion !== null) core.feeding.goOn(now);
  }

  /** Something was heard of a replica of another manager; false when it is out of date. */
  heardOf(now: number, replica: ReplicaId, turn: number, good: Index): boolean {
    const { remotes, order } = this.#core;
    const news = remotes.heard(now, replica, turn, good);
    if (news === 'new turn') order.forgetVotes(replica);
    return news !== 'old turn';
  }

  /** A result of a replica of another manager. */
  heard(now: number, replica: ReplicaId, { index, epoch, vote }: CastVote): void {
    const slot = this.#core.order.slot(index);
    if (slot === undefined || slot.epoch !== epoch) return;
    this.#cast(now, slot, replica, vote, Infinity);
    const { decision, before } = slot;
    if (decision !== null && sameVote(vote, decision)) this.#core.remotes.agrees(replica, before, index);
  }

  #cast(now: number, slot: Slot, replica: ReplicaId, vote: Vote, workMs: number): void {
    if (slot.votes.size === 0) {
      slot.firstVoteAt = now;
      slot.workMs = workMs;
    }
    slot.votes.set(replica, vote);
  }

  #compare(now: number, slot: Slot, local: Local, vote: Vote, decision: Vote): void {
    if (sameVote(vote, decision)) return;
    const kind = vote.reply === decision.reply ? 'update' : slot.entry.type === 'mark' ? 'state' : 'reply';
    this.#core.fault(now, local, kind, slot.index, { cast: vote, decided: decision });
  }

  /** The votes for the first entry that is not chosen which count. */
  countable(slot: Slot): Votes {
    const { alone, group, order } = this.#core;
    if (alone) return slot.votes;
    const counting = new Map<ReplicaId, Vote>();
    const voters = slot.index === 0 ? group.members() : group.voters(slot.index);
    for (const { replica } of voters) {
      const vote = slot.votes.get(replica);
      if (vote === undefined) continue;
      if (slot.index === 0 || this.#right(replica, order.voted)) counting.set(replica, vote);
    }
    return counting;
  }

  /** Whether its state is known to be right through this entry. */
  #right(replica: ReplicaId, through: Index): boolean {
    const local = this.#core.replicas.get(replica);
    return local === undefined ? this.#core.remotes.good(replica) >= through : !local.faulty;
  }

  #choose(slot: Slot): Vote | null {
    if (slot.ordered !== null || slot.told !== null) return slot.ordered ?? slot.told;
    const { alone, quorum } = this.#core;
    const { mode, floor } = this.#core.agreement;
    const mayDecide = alone || (mode === 'local' && slot.index > floor && slot.index > 0);
    return mayDecide ? agreed(this.countable(slot), quorum) : null;
  }

  /** Chooses, decides, answers and releases whatever can be. */
  advance(now: number): void {
    const core = this.#core;
    for (let slot = core.order.unchosen; slot !== undefined; slot = core.order.unchosen) {
      if (executable(slot)) {
        slot.decision = this.#choose(slot);
        if (slot.decision === null) break;
      }
      core.order.choose(slot);
      if (slot.decision !== null) this.#chosen(now, slot, slot.decision);
      this.#decideNext(now);
    }
    this.#decideNext(now);
    if (core.booted) handOver(core, now);
    core.catchingUp.fetch(now);
    const stuck = core.order.unchosen;
    if (core.booted && stuck !== undefined && (conflicting(stuck.votes) || core.orders)) supervise(core, now);
    this.answer();
  }

  #chosen(now: number, slot: Slot, decision: Vote): void {
    if (conflicting(slot.votes)) this.#core.patience.forgive();
    for (const [replica, vote] of slot.votes) {
      const local = this.#core.replicas.get(replica);
      if (local !== undefined) this.#compare(now, slot, local, vote, decision);
      else if (sameVote(vote, decision)) this.#core.remotes.agrees(replica, slot.before, slot.index);
    }
  }

  #decideNext(now: number): void {
    const { order } = this.#core;
    for (let slot = order.next; slot !== undefined && slot.index <= order.chosen; slot = order.next) {
      if (slot.decision !== null) {
        if (!isAtHand(slot, slot.decision)) return;
        this.#decide(now, slot, slot.decision);
      } else {
        order.decide(slot);
        this.#core.refreshing.decided(slot, 0, now);
        this.#decidedAt = now;
        this.#core.peers.progressed();
      }
    }
  }

  #decide(now: number, slot: Slot, decision: Vote): void {
    const core = this.#core;
    core.order.decide(slot);
    const since = Math.max(slot.firstVoteAt, this.#decidedAt);
    this.#decidedAt = now;
    if (!core.alone) this.#decisions.set(slot.index, decision);
    if (slot.index > 0 && core.group.suspicion === null) core.deadline.observe(now - since);
    core.refreshing.decided(slot, decision.updateBytes, now);
    core.peers.progressed();
    core.emit({ type: 'record', index: slot.index, vote: decision, keyed: slot.use !== null });
    if (slot.entry.type === 'mark') core.refreshing.begin(now, slot, decision.reply);
    if (slot.index === 0) core.replicas.startDecided(now, slot);
    if (core.group.suspicion !== null) supervise(core, now);
  }

  answer(): void {
    const core = this.#core;
    const known = Math.min(core.order.decided, core.peers.decidedByEnough());
    const answerable = this.#durable < this.#restsOn ? -1 : Math.min(known, this.#durable);
    while (this.#answered < answerable) {
      this.#answered = toIndex(this.#answered + 1);
      const slot = core.order.slot(this.#answered);
      if (slot?.entry.type === 'request') {
        core.emit({ type: 'answer', index: slot.index, outcome: outcomeOf(slot) });
      }
    }
    this.#release();
  }

  #release(): void {
    const owed = oldestOwedHere(this.#core);
    const needed = Math.max(this.#core.peers.decidedByAll(), this.#answered - KEPT_FOR_PEERS);
    const through = Math.min(this.#answered, needed, owed === null ? this.#answered : owed - 1);
    for (const index of this.#core.order.release(toIndex(through))) {
      this.#core.emit({ type: 'release', index });
    }
  }

  /** Decisions from an entry on, at most so many. */
  decisions(from: Index, most: number): { index: Index; vote: Vote }[] {
    const found: { index: Index; vote: Vote }[] = [];
    for (let at = from; at <= this.#core.order.decided && found.length < most; at = toIndex(at + 1)) {
      const vote = this.#decisions.get(at);
      if (vote !== undefined) found.push({ index: at, vote });
    }
    return found;
  }

  /** A state was fetched as a whole: what was decided within it is not known. */
  jumped(): void {
    this.#decisions.clear();
    this.#forgotten = this.#core.order.decided;
    this.#core.peers.progressed();
  }

  forget(through: Index): void {
    if (through <= this.#forgotten) return;
    this.#forgotten = through;
    for (const index of this.#decisions.keys()) if (index <= through) this.#decisions.delete(index);
  }
}
