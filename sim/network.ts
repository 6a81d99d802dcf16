/** Links between managers: a message may be lost, delayed, overtaken, doubled; a partition loses all of one host's. */
import type { Timeline } from './timeline.ts';

export interface LinkNoise {
  delayMs: () => number;
  lose: number;
  double: number;
}

export class Network {
  readonly #timeline: Timeline;
  readonly #random: () => number;
  readonly noise: LinkNoise;
  readonly #cut = new Map<number, number>();

  constructor(timeline: Timeline, random: () => number, noise: LinkNoise) {
    this.#timeline = timeline;
    this.#random = random;
    this.noise = noise;
  }

  /** Cuts all links of a host. */
  cut(host: number): void {
    this.#cut.set(host, (this.#cut.get(host) ?? 0) + 1);
  }

  mend(host: number): void {
    this.#cut.set(host, (this.#cut.get(host) ?? 0) - 1);
  }

  isCut(host: number): boolean {
    return (this.#cut.get(host) ?? 0) > 0;
  }

  send(from: number, to: number, deliver: () => void): void {
    if (this.isCut(from) || this.isCut(to) || this.#random() < this.noise.lose) return;
    this.#timeline.in(this.noise.delayMs(), deliver);
    if (this.#random() < this.noise.double) this.#timeline.in(3 * this.noise.delayMs(), deliver);
  }
}
