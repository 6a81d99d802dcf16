/**
 * The order engine, simulated: one durable, agreed sequence. Slow, unavailable for a while, or cut off from some host, as the
 * scenario says; never wrong. With one host it is that host's own log: ordered at once, durable later, and lost as far as it
 * was not durable when the host crashes.
 */
import type { Effect } from '../src/core/effect.ts';
import type { Entry } from '../src/core/entry.ts';
import type { Kind } from '../src/core/testing/service.ts';
import type { Timeline } from './timeline.ts';

export interface Line {
  readonly entry: Entry;
  readonly kind: Kind;
  /** Called with the index that it got. */
  readonly onIndex: ((index: number) => void) | null;
}

export interface Subscriber {
  /** There are new entries, or more is durable. */
  notify(): void;
  readonly cut: boolean;
}

export interface OrderNoise {
  appendMs: () => number;
  deliverMs: () => number;
}

/** Where a manager that starts anew begins. */
export type OrderBase = Extract<Effect, { type: 'truncate-order' }>;

export class OrderEngine {
  readonly lines: Line[] = [];
  readonly embedded: boolean;
  readonly #timeline: Timeline;
  readonly #noise: OrderNoise;
  readonly #subscribers: Subscriber[] = [];
  readonly #committedAt: number[] = [];
  readonly #waiting: Line[] = [];
  /** Appends that are on their way take their turn. */
  #lastAppendAt = 0;
  base: OrderBase | null = null;
  down = false;
  durable = -1;
  onCommit: (index: number, line: Line) => void = () => {};

  constructor(timeline: Timeline, embedded: boolean, noise: OrderNoise) {
    this.#timeline = timeline;
    this.embedded = embedded;
    this.#noise = noise;
  }

  subscribe(subscriber: Subscriber): void {
    this.#subscribers.push(subscriber);
  }

  get first(): number {
    return this.base === null ? 0 : this.base.through + 1;
  }

  get head(): number {
    return this.lines.length - 1;
  }

  committedAt(index: number): number {
    return this.#committedAt[index] ?? 0;
  }

  append(line: Line): void {
    if (this.embedded) return this.#commit(line);
    const at = Math.max(this.#lastAppendAt, this.#timeline.now + this.#noise.appendMs());
    this.#lastAppendAt = at;
    this.#timeline.at(at, () => {
      if (this.down) this.#waiting.push(line);
      else this.#commit(line);
    });
  }

  #commit(line: Line): void {
    this.lines.push(line);
    this.#committedAt[this.head] = this.#timeline.now;
    const index = this.head;
    if (!this.embedded) this.durable = index;
    line.onIndex?.(index);
    this.onCommit(index, line);
    for (const subscriber of this.#subscribers) {
      if (this.embedded) subscriber.notify();
      else this.#timeline.in(this.#noise.deliverMs(), () => subscriber.notify());
    }
  }

  up(): void {
    this.down = false;
    for (const line of this.#waiting.splice(0)) this.#commit(line);
    for (const subscriber of this.#subscribers) subscriber.notify();
  }

  /** The one host's log is on its disk up to here. */
  sync(): void {
    this.durable = this.head;
  }

  /** The one host crashed: what was not durable is gone. */
  lose(): void {
    this.lines.length = this.durable + 1;
  }

  truncate(base: OrderBase): void {
    if (this.base === null || base.through > this.base.through) this.base = base;
  }
}
