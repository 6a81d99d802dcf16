/**
 * The refresh of this manager's passive replicas, the checkpoint that comes of it, and what may be let go of then.
 *
 * T1. One passive replica of a manager after another; a suspicion ends the round.
 * T2. A checkpoint is what f+1 replicas of any managers exported equally.
 * T3. The order is truncated up to a mark that every manager of the view has decided, and recorded durably.
 */
import type { Core } from './core.ts';
import { index as toIndex, type Digest, type Index, type ReplicaId } from './ids.ts';
import { settleOwed } from './local.ts';
import type { OrderedState } from './membership.ts';
import type { Part } from './message.ts';
import { Refresh, type RoundEnd } from './refresh.ts';
import type { Slot } from './slot.ts';
import { caughtUp } from './rotating.ts';
import { appliedByAll } from './standing.ts';

/** Of a state that a replica is filled from, with as much of updates on top, or that it exports: where all is busy, still slower. */
const TRANSFER_BYTES_PER_MS = (4 * 1024 ** 2) / 1000;

/** What a replica may take longer because a whole state of this size comes or goes, milliseconds. */
export function transferMs(stateBytes: number): number {
  return stateBytes / TRANSFER_BYTES_PER_MS;
}

interface Mark {
  readonly index: Index;
  readonly time: number;
  readonly tick: number;
  readonly state: OrderedState;
}

export class Refreshing {
  readonly #core: Core;
  readonly #refresh: Refresh;
  /** Marks that were ordered, and that some manager may still need the order from. */
  #marks: Mark[] = [];
  #lastMark = toIndex(-1);
  #recorded = toIndex(-1);
  #checkpoint = toIndex(-1);
  #trimmed = toIndex(-1);
  /** Of the last verified state whose size is known. */
  #stateBytes: number;

  constructor(core: Core) {
    this.#core = core;
    const { refresh, stateBytes, updateBytes } = core.options;
    this.#refresh = new Refresh(refresh, stateBytes, updateBytes);
    this.#stateBytes = stateBytes;
  }

  get entries(): number {
    return this.#refresh.entries;
  }

  get bytes(): number {
    return this.#refresh.bytes;
  }

  /** As of the present state. */
  get transferMs(): number {
    return transferMs(this.#stateBytes);
  }

  /** The last mark that is decided, and durable with everything before it. */
  get lastMark(): Index {
    return this.#lastMark;
  }

  /** Updates up to here are not at hand any more. */
  get trimmed(): Index {
    return this.#trimmed;
  }

  get checkpoint(): Index {
    return this.#checkpoint;
  }

  /** Waits for exports of other managers. */
  get collecting(): boolean {
    return this.#refresh.collecting;
  }

  /** A mark is ordered that is not recorded here yet. */
  get behind(): boolean {
    return this.#marks.some(({ index }) => index > this.#recorded);
  }

  decided({ entry }: Slot, updateBytes: number, now: number): void {
    this.#refresh.decided(entry.type === 'request' ? entry.bytes : 0, updateBytes, now);
  }

  cancel(): void {
    this.#refresh.cancel();
  }

  /** A mark is ordered: what is ordered state now is what a restart from it begins with. */
  marked({ index, time, tickFrom }: Slot): void {
    if (this.#core.alone && index <= this.#core.order.decided) return;
    this.#marks.push({ index, time, tick: tickFrom, state: this.#core.membership.state() });
    if (index <= this.#recorded) this.recorded(this.#recorded);
  }

  recover(decided: Index): void {
    this.#recorded = decided;
  }

  begin(now: number, { index }: Slot, digest: Digest): void {
    this.#refresh.begin(index, digest);
    if (this.#core.alone) this.recorded(index);
    this.continue(now);
  }

  /** Everything that was recorded up to here is durable. */
  recorded(through: Index): void {
    this.#recorded = through;
    for (const { index } of this.#marks) {
      const known = index <= through && index <= this.#core.order.decided && index > this.#lastMark;
      if (!known) continue;
      this.#lastMark = index;
      this.#core.peers.progressed();
    }
    this.truncate();
  }

  /** Lets go of the order before the last mark that all managers of the view have. */
  truncate(): void {
    const { peers, deciding } = this.#core;
    if (this.#marks.length === 0) return;
    const through = peers.markOfAll(this.#lastMark);
    const mark = this.#marks.findLast(({ index }) => index <= through);
    if (mark === undefined) return;
    this.#marks = this.#marks.filter(({ index }) => index > mark.index);
    deciding.forget(mark.index);
    // The time at the mark: entries behind it are ordered already, and must get the same time after a restart.
    const { index, time, tick, state } = mark;
    this.#core.emit({ type: 'truncate-order', through: index, time, tick, state });
  }

  /** The next passive replica's turn; the round ends with the last one, or when a suspicion woke them all. */
  continue(now: number): void {
    const core = this.#core;
    const { round } = this.#refresh;
    if (round === null || core.replicas.refreshing() || core.succession.asked) return;
    if (core.group.suspicion === null && core.replicas.refreshNext(now, round)) return;
    const ended = this.#refresh.end(core.quorum, this.#oldestFirst());
    this.#trimmed = appliedByAll(core);
    core.emit({ type: 'refreshed', through: this.#trimmed });
    this.#concluded(now, ended);
  }

  *#oldestFirst(): Iterable<ReplicaId> {
    for (const { replica } of this.#core.group.members()) yield replica;
  }

  /** Looks whether the exports so far make a checkpoint, or show that one of them is wrong. */
  #conclude(now: number): void {
    this.#concluded(now, this.#refresh.conclude(this.#core.quorum, this.#oldestFirst()));
  }

  #concluded(now: number, ended: RoundEnd | null): void {
    const core = this.#core;
    if (ended === null) return;
    if (ended.checkpoint !== null) this.#refresh.checkpointSize = this.#stateBytes;
    if (ended.checkpoint !== null && ended.here) {
      core.emit({ type: 'checkpoint', index: ended.mark, digest: ended.checkpoint });
    }
    const disputed = ended.disputed === null ? undefined : core.replicas.get(ended.disputed);
    if (disputed !== undefined) core.fault(now, disputed, 'state', ended.mark);
  }

  digested(now: number, replica: ReplicaId, digest: Digest, stateBytes: number): void {
    const core = this.#core;
    const local = core.replicas.get(replica);
    if (local === undefined) return;
    const owed = settleOwed(now, local, 'digest');
    if (owed === null) return core.fault(now, local, 'protocol', core.order.decided);
    if (local.faulty) return;
    if (owed.expected !== null && owed.expected !== digest)
      return core.fault(now, local, 'state', owed.index);
    if (owed.expected !== null) this.#stateBytes = stateBytes;
    if (local.phase === 'joining') core.replicas.confirmed(now, local);
    if (local.phase === 'relieving') caughtUp(core, local);
    core.replicas.refreshed(local);
    this.continue(now);
  }

  exported(now: number, replica: ReplicaId, digest: Digest): void {
    const core = this.#core;
    const local = core.replicas.get(replica);
    if (local === undefined) return;
    const owed = settleOwed(now, local, 'export');
    if (owed === null) return core.fault(now, local, 'protocol', core.order.decided);
    if (local.faulty) return;
    if (this.#refresh.exported(replica, owed.index, digest, true)) {
      core.peers.toAll({ type: 'exported', replica, mark: owed.index, digest });
    }
    core.replicas.refreshed(local);
    this.continue(now);
    this.#conclude(now);
  }

  exportedElsewhere(now: number, replica: ReplicaId, mark: Index, digest: Digest): void {
    this.#refresh.exported(replica, mark, digest, false);
    this.#conclude(now);
  }

  /** What replicas of this manager exported in the present round. */
  exportsHere(): Part[] {
    return this.#refresh
      .exportsHere()
      .map(({ replica, mark, digest }) => ({ type: 'exported', replica, mark, digest }));
  }

  /** The state at `index` is durable here as a whole. */
  checkpointed(index: Index): void {
    if (index > this.#checkpoint) this.#checkpoint = index;
    this.#core.emit({ type: 'truncate-updates', through: index });
    this.#core.peers.progressed();
  }

  clock(now: number): void {
    const core = this.#core;
    this.continue(now);
    if (core.alone || core.managers.first === core.options.manager) {
      if (core.group.suspicion === null && this.#refresh.due(now)) core.emit({ type: 'append-mark' });
    }
    this.#followCheckpoint();
  }

  /** Where no replica here exports, a checkpoint of another manager is taken. */
  #followCheckpoint(): void {
    const { peers, replicas, order, catchingUp } = this.#core;
    if (catchingUp.wanting || replicas.count('suspended') > 0) return;
    for (const [, { checkpoint }] of peers.view()) {
      if (checkpoint > this.#checkpoint && checkpoint <= order.decided)
        return catchingUp.wantCheckpoint(checkpoint);
    }
  }
}
