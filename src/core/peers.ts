/**
 * The other managers: what they said, and what they are to be told.
 *
 * M1. A message waits until this manager has seen the order as far as its sender had.
 * M2. What a manager said in an earlier life does not count (V2 in `managers.ts`); any may ask.
 * M3. Everything kept for a peer is bounded; what is dropped comes again when it is asked for.
 */
import type { Core } from './core.ts';
import type { Vote } from './event.ts';
import { index as toIndex, type Index, type ManagerId, type ReplicaId } from './ids.ts';
import type { Local } from './local.ts';
import type { Message, Part } from './message.ts';
import type { Slot } from './slot.ts';
import { rightThrough, votesFrom } from './standing.ts';

const HELD_MAX = 64;
/** Entries that one answer to a question covers. */
const ANSWER_ENTRIES = 64;

interface Peer {
  /** Its life that all of this is about. */
  readonly boot: Index;
  decided: Index;
  mark: Index;
  checkpoint: Index;
  /** It let go of what was asked of it from here on. */
  tooOld: Index;
  caughtUp: { readonly suspicion: Index; readonly replicas: readonly ReplicaId[] } | null;
  silent: readonly { readonly replica: ReplicaId; readonly index: Index }[];
}

const NONE = toIndex(-1);

function newPeer(boot: Index): Peer {
  const nothing = { decided: NONE, mark: NONE, checkpoint: NONE, tooOld: toIndex(-2) };
  return { boot, ...nothing, caughtUp: null, silent: [] };
}

export class Peers {
  readonly #core: Core;
  readonly #others: readonly ManagerId[];
  readonly #peers = new Map<ManagerId, Peer>();
  readonly #held: { readonly from: ManagerId; readonly message: Message }[] = [];
  #toAll: Part[] = [];
  #toOne = new Map<ManagerId, Part[]>();
  #progressed = false;

  constructor(core: Core) {
    this.#core = core;
    this.#others = core.options.managers.filter((manager) => manager !== core.options.manager);
  }

  /** Messages that wait for the order. */
  get held(): number {
    return this.#held.length;
  }

  /** The other managers of the view. */
  *view(): Iterable<readonly [ManagerId, Peer]> {
    for (const manager of this.#core.managers.ids()) {
      if (manager !== this.#core.options.manager) yield [manager, this.#of(manager)];
    }
  }

  #of(manager: ManagerId): Peer {
    const boot = this.#core.managers.bootOf(manager);
    let peer = this.#peers.get(manager);
    if (peer?.boot !== boot) {
      peer = newPeer(boot);
      this.#peers.set(manager, peer);
    }
    return peer;
  }

  // What is to be told.

  toAll(part: Part): void {
    if (this.#others.length > 0) this.#toAll.push(part);
  }

  toOne(manager: ManagerId, part: Part): void {
    const parts = this.#toOne.get(manager) ?? [];
    parts.push(part);
    this.#toOne.set(manager, parts);
  }

  /** Asks every other manager, those that are not in the view, too. */
  ask(from: Index): void {
    for (const manager of this.#others) this.toOne(manager, { type: 'ask', from });
  }

  voted(local: Local, { index, epoch }: Slot, vote: Vote): void {
    if (this.#others.length === 0) return;
    const { id: replica, turn } = local;
    const good = rightThrough(this.#core, local);
    this.toAll({ type: 'votes', replica, turn, good, votes: [{ index, epoch, vote }] });
  }

  progressed(): void {
    this.#progressed = true;
  }

  #progress(): Part {
    const { order, refreshing } = this.#core;
    return {
      type: 'progress',
      decided: order.decided,
      mark: refreshing.lastMark,
      checkpoint: refreshing.checkpoint,
    };
  }

  /** One message to each, at the end of a step. */
  flush(): void {
    if (this.#others.length === 0) return;
    const { booted, order } = this.#core;
    const boot = booted ? this.#core.managers.bootOf(this.#core.options.manager) : NONE;
    if (this.#progressed) this.#toAll.push(this.#progress());
    this.#progressed = false;
    for (const to of this.#others) {
      const all = boot >= 0 && this.#core.managers.has(to) ? this.#toAll : [];
      const parts = [...all, ...(this.#toOne.get(to) ?? [])];
      if (parts.length > 0) this.#core.emit({ type: 'send', to, message: { at: order.head, boot, parts } });
    }
    this.#toAll = [];
    this.#toOne = new Map();
  }

  // What they said.

  receive(now: number, from: ManagerId, message: Message): void {
    if (message.at <= this.#core.order.head) return this.#take(now, from, message);
    this.#held.push({ from, message });
    if (this.#held.length > HELD_MAX * this.#others.length) this.#held.shift();
  }

  /** The order has come further. */
  release(now: number): void {
    if (this.#held.length === 0) return;
    const { head } = this.#core.order;
    const due = this.#held.filter(({ message }) => message.at <= head);
    if (due.length === 0) return;
    const later = this.#held.filter(({ message }) => message.at > head);
    this.#held.splice(0, this.#held.length, ...later);
    for (const { from, message } of due) this.#take(now, from, message);
  }

  #take(now: number, from: ManagerId, message: Message): void {
    const boot = this.#core.managers.bootOf(from);
    const present = boot >= 0 && boot === message.boot;
    for (const part of message.parts) {
      if (part.type === 'ask') this.#answer(from, part.from);
      else if (present) this.#hear(now, from, part);
    }
    if (present) this.#core.deciding.advance(now);
  }

  #hear(now: number, from: ManagerId, part: Exclude<Part, { type: 'ask' }>): void {
    const core = this.#core;
    const peer = this.#of(from);
    switch (part.type) {
      case 'votes':
        if (core.group.get(part.replica)?.manager !== from) return;
        if (!core.deciding.heardOf(now, part.replica, part.turn, part.good)) return;
        for (const vote of part.votes) core.deciding.heard(now, part.replica, vote);
        return;
      case 'progress':
        if (part.decided > peer.decided) peer.decided = part.decided;
        if (part.mark > peer.mark) peer.mark = part.mark;
        if (part.checkpoint > peer.checkpoint) peer.checkpoint = part.checkpoint;
        return core.refreshing.truncate();
      case 'decisions':
        for (const { index, vote } of part.decisions) {
          const slot = core.order.slot(index);
          if (slot !== undefined && index > core.order.chosen) slot.told = vote;
        }
        return;
      case 'too-old':
        peer.tooOld = core.order.decided;
        return;
      case 'caught-up':
        peer.caughtUp = part;
        return;
      case 'silent':
        peer.silent = part.silent;
        return;
      case 'exported':
        return core.refreshing.exportedElsewhere(now, part.replica, part.mark, part.digest);
    }
  }

  #answer(to: ManagerId, from: Index): void {
    const core = this.#core;
    if (!core.booted) return;
    this.toOne(to, this.#progress());
    const { decided } = core.order;
    if (from <= core.deciding.forgotten && from <= decided) this.toOne(to, { type: 'too-old' });
    const decisions = core.deciding.decisions(from, ANSWER_ENTRIES);
    if (decisions.length > 0) this.toOne(to, { type: 'decisions', decisions });
    for (const part of votesFrom(core, from, ANSWER_ENTRIES)) this.toOne(to, part);
    for (const part of core.refreshing.exportsHere()) this.toOne(to, part);
    for (const part of core.said.again()) this.toOne(to, part);
  }

  // What it adds up to.

  /** The last entry that f+1 managers, or all of the view, have decided, this one among them. */
  decidedByEnough(): Index {
    const { order, managers, quorum, alone, options, booted } = this.#core;
    if (alone) return order.decided;
    // Its boot may be ordered and not count: what it decided in an earlier life is in doubt then (W2).
    if (!managers.has(options.manager) || !booted) return NONE;
    const others = [...this.view()].map(([, peer]) => peer.decided).sort((a, b) => b - a);
    const needed = Math.min(quorum, managers.size) - 1;
    const least = needed === 0 ? order.decided : (others[needed - 1] ?? NONE);
    return least < order.decided ? least : order.decided;
  }

  /** The last entry that every manager of the view has decided. */
  decidedByAll(): Index {
    let least = this.#core.order.decided;
    for (const [, { decided }] of this.view()) if (decided < least) least = decided;
    return least;
  }

  /** Replicas of other managers that could stay after this suspicion. */
  *caughtUp(suspicion: Index): Iterable<ReplicaId> {
    for (const [, { caughtUp }] of this.view()) {
      if (caughtUp?.suspicion === suspicion) yield* caughtUp.replicas;
    }
  }

  *silent(): Iterable<{ readonly replica: ReplicaId; readonly index: Index }> {
    for (const [, { silent }] of this.view()) yield* silent;
  }

  markOfAll(mark: Index): Index {
    let least = mark;
    for (const [, peer] of this.view()) if (peer.mark < least) least = peer.mark;
    return least;
  }

  /** Every manager of the view that could still know what comes after `decided` let go of it. */
  tooOld(decided: Index): boolean {
    let some = false;
    for (const [, peer] of this.view()) {
      if (peer.decided > decided && peer.tooOld < decided) return false;
      some ||= peer.decided > decided;
    }
    return some;
  }
}
