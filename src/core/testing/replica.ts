/**
 * Test support: a replica with its agent, as the core sees it: a queue of orders, worked off in order, and answers. What
 * it does wrong is scripted by setting the fields of `behaviour`, at any time.
 */
import { digest, index as toIndex, type ReplicaId } from '../ids.ts';
import type { Event } from '../event.ts';
import { execute, hash, type Job, type Update, UPDATE_BYTES, updateDigest } from './service.ts';

export interface Behaviour {
  startMs: number;
  /** For one entry. */
  workMs: number;
  /** For anything else: updates, states, digests. */
  fillMs: number;
  /** For a whole state on top. */
  stateMs: number;
  /** The size of its state, as it says. */
  stateBytes: number;
  failsToStart: boolean;
  /** Crashes when it gets a whole state. */
  failsToFill: boolean;
  /** Answers nothing any more. */
  hung: boolean;
  /** What it says wrong. A lie in `update` is also wrong in its own state. */
  lie: Lie | null;
}

/**
 * `collude`: the same wrong result as every other that colludes; `stale`: the reply of the entry before; `future`: a vote
 * for an entry that it was not asked for; `flood`: each vote twice.
 */
export type Lie = 'reply' | 'update' | 'digest' | 'export' | 'collude' | 'stale' | 'future' | 'flood';

export type Order =
  | { readonly type: 'start'; readonly job: Job }
  | { readonly type: 'execute'; readonly job: Job }
  | { readonly type: 'apply'; readonly updates: readonly Update[]; readonly through: number }
  | { readonly type: 'import'; readonly state: string; readonly through: number }
  | { readonly type: 'digest' }
  | { readonly type: 'export' };

export class Replica {
  readonly id: ReplicaId;
  readonly variant: number;
  readonly behaviour: Behaviour;
  readonly #queue: { readonly order: Order; readonly at: number }[] = [];
  #freeAt = 0;
  suspended = false;
  /** Nothing of it is read: what it exported waits for the disk. */
  paused = false;
  state = '';
  /** The entry that `state` is the state after; -1 before the start. */
  at = -1;
  /** Its last result: the bytes behind the digests. */
  produced: { readonly reply: string; readonly update: Update | null } = { reply: '', update: null };
  #before = '';
  /** Its state may be wrong by its own fault. */
  spoilt = false;
  /** It was told to execute: never passive again. */
  executes = false;
  ended = false;

  constructor(id: ReplicaId, variant: number, behaviour: Behaviour) {
    this.id = id;
    this.variant = variant;
    this.behaviour = behaviour;
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  send(now: number, order: Order): void {
    if (order.type === 'execute') this.executes = true;
    this.#queue.push({ order, at: now });
  }

  /** When it has something to do next; null when it has nothing to do, or does nothing. */
  get dueAt(): number | null {
    const [next] = this.#queue;
    if (next === undefined || this.suspended || this.paused || this.behaviour.hung || this.ended) return null;
    return Math.max(next.at, this.#freeAt) + this.#cost(next.order);
  }

  #cost(order: Order): number {
    const { startMs, workMs, fillMs, stateMs } = this.behaviour;
    switch (order.type) {
      case 'start':
        return startMs + stateMs;
      case 'execute':
        return workMs;
      case 'apply':
      case 'digest':
        return fillMs;
      case 'import':
      case 'export':
        return fillMs + stateMs;
    }
  }

  /** Ends one order that is due by now; what it says then, or null when nothing is due. */
  work(now: number): Event[] | null {
    const [next] = this.#queue;
    const doneAt = this.dueAt;
    if (next === undefined || doneAt === null || doneAt > now) return null;
    this.#freeAt = doneAt;
    this.#queue.shift();
    return this.#carryOut(next.order);
  }

  crash(kind: 'crash' | 'protocol' = 'crash'): Event[] {
    if (this.ended) return [];
    this.ended = true;
    return [{ type: 'down', replica: this.id, kind }];
  }

  #carryOut(order: Order): Event[] {
    const { lie, failsToStart, stateBytes } = this.behaviour;
    switch (order.type) {
      case 'start':
        return failsToStart ? this.crash() : this.#execute(order.job);
      case 'execute':
        return this.#execute(order.job);
      case 'apply':
        for (const { from, to } of order.updates) {
          // An update on the wrong state leaves a state that is neither.
          this.state = from === this.state ? to : hash(`${this.state} spoilt by ${to}`);
        }
        this.at = order.through;
        return [];
      case 'import':
        if (this.behaviour.failsToFill) return this.crash();
        this.state = order.state;
        this.at = order.through;
        return [];
      case 'digest': {
        const said = digest(lie === 'digest' ? 'wrong' : hash(this.state));
        return [{ type: 'digest', replica: this.id, digest: said, stateBytes }];
      }
      case 'export': {
        const said = digest(lie === 'export' ? 'wrong' : this.state);
        return [{ type: 'exported', replica: this.id, digest: said }];
      }
    }
  }

  #execute(job: Job): Event[] {
    if (job.kind === 'poison') return this.crash();
    if (job.kind === 'flood') return this.crash('protocol');
    if (job.kind === 'hang') this.behaviour.hung = true;
    if (this.behaviour.hung) return [];
    const { lie } = this.behaviour;
    const salt =
      job.kind === 'random' || lie === 'update' ? this.id : job.kind === 'split' ? this.#side(job.index) : '';
    const { state } = execute(this.state, job, lie === 'collude' ? 'colluding' : salt);
    // A wrong update with the right reply: the reply of an honest execution.
    const honest = execute(this.state, job, lie === 'update' ? '' : salt);
    const update = honest.update === null ? null : { from: this.state, to: state };
    if (update !== null) this.state = state;
    this.at = job.index;
    if (lie === 'update' || lie === 'collude') this.spoilt = true;
    this.produced = { reply: this.#reply(lie, job, honest.reply), update };
    this.#before = honest.reply;
    return this.#votes(lie, job.index);
  }

  #reply(lie: Lie | null, job: Job, honest: string): string {
    if (lie === 'reply') return `wrong of ${this.id}`;
    if (lie === 'collude') return `wrong ${job.index}`;
    return lie === 'stale' ? this.#before : honest;
  }

  #votes(lie: Lie | null, at: number): Event[] {
    const { reply, update } = this.produced;
    const updateBytes = update === null ? 0 : UPDATE_BYTES;
    const vote = { reply: digest(reply), update: updateDigest(update), updateBytes };
    const cast: Event = { type: 'vote', replica: this.id, index: toIndex(at), vote };
    if (lie === 'future') return [{ ...cast, index: toIndex(at + 3) }];
    return lie === 'flood' ? [cast, cast] : [cast];
  }

  /** What a service that differs at random entries does here: one of two things. */
  #side(index: number): string {
    return hash(`${this.id} ${index}`).charCodeAt(0) % 2 === 0 ? 'heads' : 'tails';
  }
}
