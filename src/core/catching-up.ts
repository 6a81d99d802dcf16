/**
 * What a manager asks of others because it cannot go on: votes and decisions that it missed, the bytes of what no replica
 * of its own produced, and, where that is let go of, a whole state.
 *
 * H1. Whatever is asked for is asked for again until it comes; at most so much at a time.
 * H2. A manager that was taken for dead takes part again only with a state that the others agree with: it may have decided
 *     what they, without it, decided otherwise.
 */
import type { Core } from './core.ts';
import type { Vote } from './event.ts';
import { index as toIndex, type Index, type ManagerId } from './ids.ts';
import { executable, isAtHand, type Slot } from './slot.ts';
import { sameVote } from './quorum.ts';

const ASK_AFTER_MS = 100;
const FETCH_AGAIN_MS = 200;
const STATE_AGAIN_MS = 1000;
const FETCHES_MAX = 32;

export class CatchingUp {
  readonly #core: Core;
  #askedAt = 0;
  #quietSince = 0;
  /** A state at this entry or later is needed. */
  #wanted: Index | null = null;
  #which: 'checkpoint' | 'latest' = 'latest';
  #wantedAt = 0;
  /** Such a state is here, and waits for the order to come so far. */
  #arrived: Index | null = null;
  /** The state that was last taken over as a whole: none before it can be had any more. */
  #taken = toIndex(-1);

  constructor(core: Core) {
    this.#core = core;
  }

  /** Waits for a whole state, so that nothing else is of use. */
  get wanting(): boolean {
    return this.#wanted !== null;
  }

  get taken(): Index {
    return this.#taken;
  }

  /** The state that was taken over is not durable here yet: a crash would bring back what was there before. */
  get keeping(): boolean {
    return this.#taken > this.#core.refreshing.checkpoint;
  }

  // Votes and decisions.

  clock(now: number): void {
    const core = this.#core;
    if (core.alone) return;
    this.#state(now);
    this.fetch(now);
    if (this.#quiet()) this.#quietSince = now;
    if (now - this.#quietSince < ASK_AFTER_MS || now - this.#askedAt < ASK_AFTER_MS) return;
    this.#askedAt = now;
    core.peers.ask(toIndex(core.order.decided + 1));
    if (core.peers.tooOld(core.order.decided)) this.want(toIndex(core.order.decided + 1));
  }

  #quiet(): boolean {
    const { order, deciding, group, refreshing, booted } = this.#core;
    if (!booted || this.#wanted !== null) return false;
    const all = order.decided === order.head && deciding.answered === order.decided;
    return all && order.released === order.decided && group.suspicion === null && !refreshing.collecting;
  }

  // Bytes.

  /** Gets what is chosen and not at hand. */
  fetch(now: number): void {
    const { order, alone } = this.#core;
    if (alone || (this.#wanted !== null && this.#wanted > order.decided)) return;
    let under = 0;
    for (const slot of order.undecided()) {
      if (slot.index > order.chosen || under >= FETCHES_MAX) return;
      if (slot.decision === null || !executable(slot) || isAtHand(slot, slot.decision)) continue;
      under++;
      if (slot.fetch !== null && now - slot.fetch.at < FETCH_AGAIN_MS) continue;
      this.#fetch(now, slot);
    }
  }

  #fetch(now: number, slot: Slot): void {
    const { decision } = slot;
    const sources = this.#sources(slot);
    const tries = slot.fetch?.tries ?? 0;
    const from = sources[tries % sources.length];
    if (from === undefined || decision === null) return;
    slot.fetch = { at: now, tries: tries + 1 };
    this.#core.emit({ type: 'fetch', index: slot.index, vote: decision, from });
  }

  /** Managers that must have its bytes: first those whose replicas produced it. */
  #sources({ index, votes, decision }: Slot): ManagerId[] {
    const sources = new Set<ManagerId>();
    for (const [replica, vote] of votes) {
      const manager = this.#core.group.get(replica)?.manager;
      if (decision === null || !sameVote(vote, decision) || manager === undefined) continue;
      if (manager !== this.#core.options.manager && this.#core.managers.has(manager)) sources.add(manager);
    }
    for (const [manager, { decided }] of this.#core.peers.view()) if (decided >= index) sources.add(manager);
    return [...sources];
  }

  fetched(now: number, index: Index, vote: Vote, found: boolean): void {
    const slot = this.#core.order.slot(index);
    if (slot === undefined) return;
    if (found) {
      if (!isAtHand(slot, vote)) slot.atHand.push(vote);
      return this.#core.deciding.advance(now);
    }
    if (slot.decision === null || slot.fetch === null) return;
    const tried = slot.fetch.tries;
    const sources = this.#sources(slot).length;
    if (tried < sources) return this.#fetch(now, slot);
    const gone = [...this.#core.peers.view()].some(([, { decided }]) => decided >= index);
    if (gone && tried >= 2 * sources) this.want(index);
  }

  // Whole states.

  want(atLeast: Index): void {
    this.#ask(atLeast, 'latest');
  }

  /** The doubt is gone; what the order does not have any more is still needed. */
  unwant(): void {
    if (this.#wanted !== null && this.#wanted <= this.#core.order.decided) this.#wanted = null;
  }

  /** A checkpoint of another manager, where no replica here exports one. */
  wantCheckpoint(atLeast: Index): void {
    if (this.#wanted === null) this.#ask(atLeast, 'checkpoint');
  }

  #ask(atLeast: Index, which: 'checkpoint' | 'latest'): void {
    if (this.#wanted !== null && this.#wanted >= atLeast && this.#which === which) return;
    this.#wanted = atLeast;
    this.#which = which;
    this.#wantedAt = -STATE_AGAIN_MS;
  }

  #state(now: number): void {
    if (this.#wanted === null || this.#arrived !== null || now - this.#wantedAt < STATE_AGAIN_MS) return;
    for (const [from, { decided, checkpoint }] of this.#core.peers.view()) {
      if ((this.#which === 'latest' ? decided : checkpoint) < this.#wanted) continue;
      this.#wantedAt = now;
      const [atLeast, which] = [this.#wanted, this.#which];
      return this.#core.emit({ type: 'fetch-state', from, atLeast, which });
    }
    // Whoever had that checkpoint is gone.
    if (this.#which === 'checkpoint') this.#wanted = null;
  }

  stateFetched(now: number, at: Index | null): void {
    if (at === null) return;
    this.#arrived = at;
    this.ordered(now);
  }

  /** The order has come further: perhaps up to a state that waits. */
  ordered(now: number): void {
    const { order, replicas, deciding, presence } = this.#core;
    const at = this.#arrived;
    if (at === null || order.head < at) return;
    this.#arrived = null;
    this.#taken = at;
    this.#core.emit({ type: 'take-state', index: at });
    if (this.#wanted !== null && at >= this.#wanted) this.#wanted = null;
    const replaces = presence.doubts(at);
    if (replaces) order.doubt(deciding.answered);
    const further = at > order.decided;
    if (further) order.jump(at);
    if (further || replaces) deciding.jumped();
    if (further) replicas.jumped(now);
    presence.stateTaken(at);
    deciding.advance(now);
  }
}
