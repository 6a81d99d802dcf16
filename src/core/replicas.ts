/**
 * This manager's replicas: started, filled, suspended, woken, refreshed, replaced. What they are sent: `feeding.ts`.
 *
 * R2. A replica that left the group is destroyed.
 */
import type { Command, Member } from './entry.ts';
import type { Core } from './core.ts';
import type { Vote } from './event.ts';
import type { Change } from './group.ts';
import { index as toIndex, replicaId, type Digest, type Index, type ReplicaId } from './ids.ts';
import { forgivePause, type Local } from './local.ts';
import { bootShare, missingHere } from './placement.ts';
import { sameVote } from './quorum.ts';
import type { Slot } from './slot.ts';
import { Starts } from './starts.ts';
import { type ReplicaState, stateOf } from './view.ts';

/** A suspicion is first resolved with the replicas at hand; replacements are started when it lasts longer. */
const REPLACE_DURING_SUSPICION_AFTER_MS = 1000;

/** In these it holds a verified state, and can execute at once. */
const WAKEABLE: ReadonlySet<Local['phase']> = new Set(['suspended', 'refreshing', 'relieving']);

export class Replicas {
  readonly #core: Core;
  readonly #locals = new Map<ReplicaId, Local>();
  #starts: Starts;
  /** What was decided of entry 0, if that was in this run. */
  #founding: Vote | null = null;
  #nextNumber: number;
  #halted = false;

  constructor(core: Core) {
    this.#core = core;
    this.#nextNumber = core.options.firstReplica;
    this.#starts = new Starts(core.options.faults, core.options.variants);
  }

  get(replica: ReplicaId): Local | undefined {
    return this.#locals.get(replica);
  }

  all(): Iterable<Local> {
    return this.#locals.values();
  }

  /** Unlike any other's, of any manager. */
  newId(): ReplicaId {
    const { alone, options } = this.#core;
    return replicaId(`${alone ? '' : `${options.manager}.`}r${this.#nextNumber++}`);
  }

  bootCommand(): Command {
    const { options, order } = this.#core;
    const members = bootShare(options, () => this.newId());
    return { type: 'boot', manager: options.manager, members, seen: order.head };
  }

  /** What a change of the group, by a command, means for the replicas here. */
  changed(now: number, change: Change, by: Command['type']): void {
    for (const { replica } of change.left) {
      this.#core.remotes.forget(replica);
      const local = this.#locals.get(replica);
      if (local !== undefined) this.remove(local);
    }
    for (const member of change.woken) {
      const local = this.#locals.get(member.replica);
      if (local !== undefined) this.#wake(now, local);
    }
    if (this.#core.group.suspicion === null) for (const local of this.#locals.values()) local.woken = false;
    else this.#overtaken(now);
    for (const member of change.joined) {
      if (member.manager !== this.#core.options.manager) continue;
      const local = this.#locals.get(member.replica);
      if (local !== undefined) this.#joined(now, local);
      else if (by === 'boot') this.start(now, member.replica, member.variant);
      else this.expelLost(member.replica);
    }
  }

  /** A suspicion came in between: whoever was replaced is not needed any more, and who was to take over executes now. */
  #overtaken(now: number): void {
    for (const local of this.#locals.values()) {
      const member = this.#core.group.get(local.id);
      if (member === undefined && local.phase === 'executing') this.remove(local);
      else if (member?.role === 'active' && WAKEABLE.has(local.phase)) this.#wake(now, local);
    }
  }

  /** The group was full when its join was ordered. */
  refused(replica: ReplicaId): void {
    const local = this.#locals.get(replica);
    if (local !== undefined && this.#core.group.get(replica) === undefined) this.remove(local);
  }

  /** This manager was taken for dead: none of its replicas belongs to the group any more. */
  removeAll(): void {
    for (const local of this.#locals.values()) this.remove(local);
  }

  /** A state was fetched as a whole: what was executed before it is of no use. */
  jumped(now: number): void {
    for (const local of this.#locals.values()) {
      local.stale = true;
      if (local.faulty) continue;
      if (local.phase === 'started') this.#fill(now, local);
      else if (local.phase === 'executing') {
        this.#core.feeding.void(local);
        this.#core.order.forgetVotes(local.id);
        this.#core.feeding.execute(now, local);
      }
    }
  }

  #joined(now: number, local: Local): void {
    local.woken = this.#core.group.suspicion !== null;
    this.#place(now, local);
  }

  /** It ended while the command that makes it a member was on its way. */
  expelLost(replica: ReplicaId): void {
    this.#core.propose({ type: 'expel', replica, kind: 'crash', index: this.#core.order.decided });
  }

  start(now: number, id: ReplicaId, variant: number, version: number = this.#core.succession.version): void {
    if (version === this.#core.succession.version) this.#starts.started(variant);
    // Once entry 0 is decided, the verified state takes the place of what a start wrote.
    const decided = this.#core.order.decided >= 0;
    this.#locals.set(id, {
      id,
      variant,
      version,
      startedAt: now,
      phase: 'starting',
      since: now,
      heardAt: now,
      pausedAt: null,
      applied: toIndex(-1),
      owed: [{ type: 'result', index: toIndex(0), void: decided }],
      turn: 0,
      stale: false,
      woken: false,
      overtimeMs: 0,
      until: null,
      held: null,
      fed: false,
      filling: false,
      faulty: false,
    });
    this.#core.emit({ type: 'start', replica: id, variant, version, founds: !decided });
  }

  /** All replicas are of a new version, with variants of its own. */
  succeeded(variants: number, members: readonly Member[]): void {
    this.#starts = new Starts(this.#core.options.faults, variants);
    this.#starts.ready();
    for (const { variant } of members) this.#starts.started(variant);
    // Those that were to replace old ones. Who is in the group, or was replaced, goes its way.
    for (const local of this.#locals.values())
      if (this.#core.group.get(local.id) === undefined) this.remove(local);
  }

  /** Its service is up; `vote`: what it made of entry 0, or null where that has no meaning. */
  started(now: number, local: Local, vote: Vote | null): void {
    const { order, refreshing } = this.#core;
    local.phase = 'started';
    local.since = now;
    if (order.decided < 0) return this.#starts.worked();
    // Updates lead from there to the present as long as none was let go.
    if (this.#agrees(vote) && refreshing.trimmed < 0) this.#founded(now, local);
    else this.#fill(now, local);
  }

  /** Entry 0 is decided: who agreed has its state already. */
  startDecided(now: number, slot: Slot): void {
    this.#founding = slot.decision;
    for (const local of this.#locals.values()) {
      if (local.phase !== 'started' || local.faulty) continue;
      if (this.#agrees(slot.votes.get(local.id) ?? null)) this.#founded(now, local);
      else this.#fill(now, local);
    }
  }

  #agrees(vote: Vote | null): boolean {
    return vote !== null && this.#founding !== null && sameVote(vote, this.#founding);
  }

  /** Its state is the decided one after entry 0. */
  #founded(now: number, local: Local): void {
    local.applied = toIndex(0);
    if (this.#core.group.get(local.id)?.role === 'active') {
      this.#starts.ready();
      this.#place(now, local);
    } else this.#join(now, local);
  }

  /** Also one that is active at once confirms that it has the state before it executes: it may be a large one. */
  #fill(now: number, local: Local): void {
    this.#core.feeding.import(local, this.#core.order.decided);
    this.#join(now, local);
  }

  #join(now: number, local: Local): void {
    this.#starts.ready();
    local.since = now;
    local.phase = 'joining';
    this.#core.feeding.askDigest(local, local.applied, null);
  }

  /** All that it was sent is in its state. */
  confirmed(now: number, local: Local): void {
    if (this.#core.group.get(local.id) !== undefined) return this.#place(now, local);
    if (this.#core.succession.isSuccessor(local)) return this.#suspend(local);
    const { manager } = this.#core.options;
    const member: Member = { replica: local.id, manager, variant: local.variant, role: 'passive' };
    this.#core.propose({ type: 'join', member });
  }

  #place(now: number, local: Local): void {
    if (local.faulty) return;
    this.#starts.worked();
    if (this.#core.group.get(local.id)?.role === 'active') this.#core.feeding.execute(now, local);
    else this.#suspend(local);
  }

  #suspend(local: Local): void {
    local.phase = 'suspended';
    this.#core.emit({ type: 'suspend', replica: local.id });
  }

  #wake(now: number, local: Local): void {
    if (local.phase === 'suspended') this.#core.emit({ type: 'resume', replica: local.id });
    local.woken = true;
    if (WAKEABLE.has(local.phase)) this.#core.feeding.execute(now, local);
  }

  /** It is to take over from another one, and catches up meanwhile. */
  relieve(now: number, local: Local): void {
    local.phase = 'relieving';
    local.since = now;
    this.#core.emit({ type: 'resume', replica: local.id });
    this.#core.feeding.catchUp(local, this.#core.order.decided);
    this.#core.feeding.askDigest(local, local.applied, null);
  }

  /** Nothing came of that. */
  backToSleep(local: Local): void {
    if (local.owed.length === 0) this.#suspend(local);
  }

  takeOver(now: number, local: Local): void {
    if (local.phase === 'suspended') this.#core.emit({ type: 'resume', replica: local.id });
    this.#core.feeding.execute(now, local);
  }

  refreshing(): boolean {
    for (const local of this.#locals.values()) if (local.phase === 'refreshing') return true;
    return false;
  }

  /** Wakes one suspended replica that is behind the mark; false when there is none. */
  refreshNext(now: number, round: { mark: Index; digest: Digest; exporting: boolean }): boolean {
    for (const local of this.#locals.values()) {
      if (local.phase !== 'suspended' || local.faulty || local.applied >= round.mark) continue;
      if (local.stale && round.mark < this.#core.catchingUp.taken) continue;
      local.phase = 'refreshing';
      local.since = now;
      this.#core.emit({ type: 'resume', replica: local.id });
      this.#core.feeding.catchUp(local, round.mark);
      this.#core.feeding.askDigest(local, round.mark, round.digest);
      if (round.exporting) {
        local.owed.push({ type: 'export', index: round.mark });
        this.#core.emit({ type: 'export', replica: local.id, index: round.mark });
      }
      return true;
    }
    return false;
  }

  paused(now: number, replica: ReplicaId, paused: boolean): void {
    const local = this.#locals.get(replica);
    if (local === undefined) return;
    forgivePause(now, local);
    local.pausedAt = paused ? now : null;
  }

  /** Back to sleep, when all that was asked of it is answered. */
  refreshed(local: Local): void {
    if (local.phase === 'refreshing' && local.owed.length === 0) this.#suspend(local);
  }

  /** With its votes: a decision is that of members, and of one version (S1 in `succession.ts`). */
  remove(local: Local): void {
    this.#locals.delete(local.id);
    this.#core.order.forgetVotes(local.id);
    this.#core.emit({ type: 'stop', replica: local.id });
  }

  failed(now: number, local: Local): void {
    this.#starts.faulty(local.variant);
    const wasOfUse = stateOf(local) !== 'starting';
    if (!wasOfUse && this.#starts.failed(now)) this.halt('start-failed');
  }

  startable(): void {
    this.#starts.allow();
  }

  halt(reason: 'start-failed' | 'start-differs'): void {
    if (!this.#halted) this.#core.emit({ type: 'halt', reason });
    this.#halted = true;
  }

  /** But for those of a version that has not taken over yet, or no more. */
  #ofVersion(): Local[] {
    const { version } = this.#core.succession;
    return [...this.#locals.values()].filter((local) => local.version === version);
  }

  /** Starts what is missing to 2f+2 replicas. */
  replenish(now: number): void {
    const { group, quorum } = this.#core;
    if (this.#halted || !this.#starts.allowed(now)) return;
    let present = 0;
    for (const local of this.#ofVersion()) if (!local.faulty && local.until === null) present++;
    const wanted = missingHere(this.#core);
    const alone = this.#core.alone ? present < quorum : group.size < quorum;
    if (
      group.suspicion !== null &&
      !alone &&
      now - this.#core.deciding.decidedAt < REPLACE_DURING_SUSPICION_AFTER_MS
    ) {
      return;
    }
    for (; present < wanted; present++) {
      const variant = this.#starts.variant(this.#ofVersion().map((local) => local.variant));
      this.start(now, this.newId(), variant);
    }
  }

  /** How many are in this state; called for every request, so it makes nothing. */
  count(state: ReplicaState): number {
    let count = 0;
    for (const local of this.#locals.values()) if (!local.faulty && stateOf(local) === state) count++;
    return count;
  }
}
