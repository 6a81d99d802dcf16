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
  failsToStart: boolean;
  /** Crashes when it gets a whole state. */
  failsToFill: boolean;
  /** Answers nothing any more. */
  hung: boolean;
  /** What it says wrong. A lie in `update` is also wrong in its own state. */
  lie: 'reply' | 'update' | 'digest' | 'export' | null;
}

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
  state = '';
  /** The entry that `state` is the state after; -1 before the start. */
  at = -1;
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

  /** Ends one order that is due by now; what it says then, or null when nothing is due. */
  work(now: number): Event[] | null {
    const [next] = this.#queue;
    if (next === undefined || this.suspended || this.behaviour.hung || this.ended) return null;
    const { startMs, workMs } = this.behaviour;
    const cost = next.order.type === 'start' ? startMs : next.order.type === 'execute' ? workMs : 0;
    const doneAt = Math.max(next.at, this.#freeAt) + cost;
    if (doneAt > now) return null;
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
    const { lie, failsToStart } = this.behaviour;
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
        return [{ type: 'digest', replica: this.id, digest: said }];
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
    const salt = job.kind === 'random' || lie === 'update' ? this.id : '';
    const { state } = execute(this.state, job, salt);
    // A wrong update with the right reply: the reply of an honest execution.
    const honest = execute(this.state, job, job.kind === 'random' ? this.id : '');
    const update = honest.update === null ? null : { from: this.state, to: state };
    if (update !== null) this.state = state;
    this.at = job.index;
    const vote = {
      reply: lie === 'reply' ? digest(`wrong of ${this.id}`) : honest.reply,
      update: updateDigest(update),
      updateBytes: update === null ? 0 : UPDATE_BYTES,
    };
    return [{ type: 'vote', replica: this.id, index: toIndex(job.index), vote }];
  }
}
