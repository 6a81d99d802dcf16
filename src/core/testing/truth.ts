/**
 * Test support: what a single correct server would have answered, given the order. Works the order out by itself: time,
 * keys and skips; it knows nothing of votes.
 */
import type { Command, Entry, Key } from '../entry.ts';
import { execute, type Job, type Result } from './service.ts';
import type { Stored } from './disk.ts';

interface Line {
  readonly job: Job;
  readonly entry: Entry;
  /** The entry that first carried its key, or `reused`. */
  readonly use: number | 'reused' | null;
}

export class Truth {
  #lines: Line[] = [];
  #states: string[] = [];
  #results: (Result | null)[] = [];
  readonly #skips = new Map<number, { readonly at: number; readonly reason: string }>();
  readonly #keysMax: number;

  constructor(keysMax: number) {
    this.#keysMax = keysMax;
  }

  /** `decided`: what the core had decided when the entry came. */
  ordered(index: number, { entry, kind }: Stored, decided: number): void {
    if (index < this.#lines.length) return;
    const before = this.#lines.at(-1);
    const time = Math.max(before?.job.time ?? 0, entry.time);
    const tickFrom = before?.entry.type === 'tick' ? before.job.time : (before?.job.tickFrom ?? 0);
    this.#lines.push({ job: { index, kind, time, tickFrom }, entry, use: this.#use(entry) });
    if (entry.type === 'command') this.#skip(index, entry.command, decided);
  }

  #use(entry: Entry): Line['use'] {
    if (entry.type !== 'request' || entry.key === null) return null;
    const { key, fingerprint } = entry.key;
    const known = this.#known().find((one) => one.key === key);
    if (known === undefined) return null;
    return known.fingerprint === fingerprint ? known.index : 'reused';
  }

  /** The keys that are remembered, oldest first. */
  #known(): (Key & { readonly index: number })[] {
    const known: (Key & { readonly index: number })[] = [];
    const freed = new Map([...this.#skips].map(([target, { at, reason }]) => [at, { target, reason }]));
    for (const [index, { entry, use }] of this.#lines.entries()) {
      const skip = freed.get(index);
      const skipped = known.findIndex((one) => one.index === skip?.target);
      if (skipped >= 0 && skip?.reason !== 'poison') known.splice(skipped, 1);
      if (entry.type !== 'request' || entry.key === null || use !== null) continue;
      known.push({ ...entry.key, index });
      if (known.length > this.#keysMax) known.shift();
    }
    return known;
  }

  #skip(at: number, command: Command, decided: number): void {
    if (command.type === 'skip' && command.index > decided && !this.#skips.has(command.index))
      this.#skips.set(command.index, { at, reason: command.reason });
  }

  /** Whether replicas execute the entry. */
  executed(index: number): boolean {
    const line = this.#lines[index];
    return (
      line !== undefined && line.entry.type !== 'command' && line.use === null && !this.#skips.has(index)
    );
  }

  #workOut(through: number): void {
    for (let at = this.#states.length; at <= through; at++) {
      const line = this.#lines[at];
      if (line === undefined) throw new Error(`entry ${at} is not ordered`);
      const state = this.#states.at(-1) ?? '';
      const result = this.executed(at) ? execute(state, line.job, '') : null;
      this.#results.push(result);
      this.#states.push(result?.state ?? state);
    }
  }

  /** The state after an entry. */
  state(index: number): string {
    if (index < 0) return '';
    this.#workOut(index);
    return this.#states[index] ?? '';
  }

  /** What an entry gives; null when it is not executed. */
  result(index: number): Result | null {
    this.#workOut(index);
    return this.#results[index] ?? null;
  }

  /** What the client of a request must be told, as text. */
  outcome(index: number): string {
    const use = this.#lines[index]?.use ?? null;
    if (use === 'reused') return 'key-reused';
    const skip = this.#skips.get(use ?? index);
    if (skip !== undefined) return `skipped ${skip.reason}`;
    return use === null ? `reply ${this.result(index)?.reply}` : `reply of ${use}`;
  }

  kind(index: number): string {
    return this.#lines[index]?.job.kind ?? 'nothing';
  }

  keyed(index: number): boolean {
    const entry = this.#lines[index]?.entry;
    return entry?.type === 'request' && entry.key !== null;
  }

  /** Entries after `last` were lost in a crash. */
  cut(last: number): void {
    this.#lines = this.#lines.slice(0, last + 1);
    for (const [target, { at }] of this.#skips) if (at > last) this.#skips.delete(target);
    this.#states = [];
    this.#results = [];
  }
}
