/**
 * How long a vote may lag behind the first one before its replica counts as late: a multiple of the recent high
 * quantile of that lag, between a floor and a ceiling. Lag, not execution time: a slow request is slow on every
 * replica.
 */

export interface DeadlineLimits {
  readonly floorMs: number;
  readonly ceilingMs: number;
  readonly factor: number;
}

/** Lags remembered; the quantile is over these. */
const WINDOW = 256;
/** The quantile is computed anew after so many lags. */
const STRIDE = 64;

export class Deadline {
  readonly #limits: DeadlineLimits;
  readonly #lags: number[] = [];
  #next = 0;
  #ms: number;

  constructor(limits: DeadlineLimits) {
    this.#limits = limits;
    this.#ms = limits.ceilingMs;
  }

  get ms(): number {
    return this.#ms;
  }

  observe(lagMs: number): void {
    this.#lags[this.#next % WINDOW] = lagMs;
    this.#next++;
    if (this.#next % STRIDE === 0) this.#ms = this.#compute();
  }

  #compute(): number {
    const sorted = [...this.#lags].sort((a, b) => a - b);
    const high = sorted[Math.floor(sorted.length * 0.99)] ?? 0;
    const { floorMs, ceilingMs, factor } = this.#limits;
    return Math.min(ceilingMs, Math.max(floorMs, factor * high));
  }
}
