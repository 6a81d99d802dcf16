/**
 * What was decided, in one place: the first manager that decides an entry settles it for all. Works the service out by
 * itself, so that it knows the right result of every entry and the right state after it.
 */
import type { Vote } from '../src/core/event.ts';
import { digest } from '../src/core/ids.ts';
import { execute, type Kind, updateDigest } from '../src/core/testing/service.ts';
import { KeyBook } from './key-book.ts';
import type { Line } from './order-engine.ts';
import type { Recorded } from './store.ts';
import { promise } from './violation.ts';

interface Job {
  readonly kind: Kind;
  readonly time: number;
  readonly tickFrom: number;
}

export type Digests = Pick<Vote, 'reply' | 'update'>;

export interface Decision {
  /** Null: it has no effect (a command, a skip, a key that was used before). */
  readonly vote: Digests | null;
  readonly state: string;
}

const UNCERTAIN: ReadonlySet<Kind> = new Set(['random', 'split']);
const HARMFUL: ReadonlySet<Kind> = new Set(['poison', 'flood', 'hang']);

export class Decisions {
  readonly #jobs: Job[] = [];
  readonly #decisions: Decision[] = [];
  readonly keys: KeyBook;

  constructor(keysMax: number) {
    this.keys = new KeyBook(keysMax);
  }

  get decided(): number {
    return this.#decisions.length - 1;
  }

  ordered({ entry, kind }: Line): void {
    const before = this.#jobs.at(-1);
    const time = Math.max(before?.time ?? 0, entry.time);
    const tickFrom = before?.kind === 'tick' ? before.time : (before?.tickFrom ?? 0);
    this.#jobs.push({ kind, time, tickFrom });
    this.keys.ordered(entry.type === 'request' ? entry.key : null);
  }

  /** The one host's log lost what comes after `last`. */
  cut(last: number): void {
    this.#jobs.length = Math.min(this.#jobs.length, last + 1);
    this.#decisions.length = Math.min(this.#decisions.length, last + 1);
    this.keys.cut(last);
  }

  executed(index: number): boolean {
    const job = this.#jobs[index];
    return job !== undefined && job.kind !== 'command' && this.used(index) === null;
  }

  /** What a client must be told where its key was used before: the first entry with it, or `reused`. */
  used(index: number): number | 'reused' | null {
    const use = this.keys.use(index);
    if (use === null || use.first === index) return null;
    return use.same ? use.first : 'reused';
  }

  kind(index: number): Kind {
    return this.#jobs[index]?.kind ?? 'command';
  }

  state(index: number): string {
    return index < 0 ? '' : (this.#decisions[index]?.state ?? 'undecided');
  }

  of(index: number): Decision | undefined {
    return this.#decisions[index];
  }

  /** Whether another decision is known. */
  differs(index: number, vote: Digests | null): boolean {
    const known = this.#decisions[index];
    return known !== undefined && textOf(known.vote) !== textOf(vote);
  }

  /** No result so far was left to chance. */
  get certain(): boolean {
    return !this.#jobs.some(({ kind }) => UNCERTAIN.has(kind));
  }

  /** No request so far ends, or stops, whoever executes it. */
  get harmless(): boolean {
    return !this.#jobs.some(({ kind }) => HARMFUL.has(kind));
  }

  /** Whether chance has a part in its result. */
  uncertain(index: number): boolean {
    return UNCERTAIN.has(this.kind(index));
  }

  /** What was decided from here on holds no more. */
  supersede(index: number): void {
    this.#decisions.length = index;
  }

  /** A manager decided the next entry, or one that another manager decided before. */
  decide(by: string, index: number, vote: Digests | null, recorded: Recorded | null): void {
    const known = this.#decisions[index];
    const text = textOf(vote);
    if (known !== undefined) {
      const before = textOf(known.vote);
      promise(
        before === text,
        'C',
        () => `${by} decides entry ${index} as ${text}, another one as ${before}`,
      );
      return;
    }
    promise(index === this.#decisions.length, 'C', () => `${by} decides entry ${index} past ${this.decided}`);
    const state = this.state(index - 1);
    if (vote === null) return void this.#decisions.push({ vote, state });
    promise(this.executed(index), 'P2', () => `entry ${index} is executed, though it should not`);
    this.#decisions.push({ vote, state: this.#check(index, state, vote, recorded) });
  }

  /** That the decided result is what one correct server would give; the state after it. */
  #check(index: number, state: string, vote: Digests, recorded: Recorded | null): string {
    const job = this.#jobs[index];
    if (job === undefined) return state;
    if (UNCERTAIN.has(job.kind)) {
      const update = recorded?.update ?? null;
      promise(update === null || update.from === state, 'P3', () => `entry ${index} rests on another state`);
      return update?.to ?? state;
    }
    const right = execute(state, { index, ...job }, '');
    const fits = vote.reply === right.reply && vote.update === updateDigest(right.update);
    promise(fits, 'P1', () => `entry ${index} (${job.kind}) is decided wrongly`);
    return right.state;
  }

  /**
   * Nobody holds what was decided after `held` any more, in memory or on disk. What is a function of the order is found
   * again; a result of chance is not: from the first such entry on, all is open.
   */
  lose(held: number): number | null {
    for (let index = held + 1; index < this.#decisions.length; index++) {
      const job = this.#jobs[index];
      const { vote } = this.#decisions[index] ?? { vote: null };
      if (job === undefined || vote === null || !UNCERTAIN.has(job.kind)) continue;
      this.#decisions.length = index;
      return index;
    }
    return null;
  }
}

function textOf(vote: Digests | null): string {
  return vote === null ? 'nothing' : `${vote.reply} ${vote.update}`;
}

export function digestsOf({ reply, update }: Recorded): Digests {
  return { reply: digest(reply), update: updateDigest(update) };
}
