/**
 * When a replica may be started, and with which variant.
 *
 * A failed start is tried again, ever more seldom. As long as no replica was ever ready, more than f failures in a row
 * are the end of it: a service that cannot start at all is for a person to repair.
 *
 * B1. Between two failures that count there is at least the wait of the first, unless `allow` ends it; it doubles up to a limit.
 * B2. The next variant is one with the fewest faults, of these the one that is run least, and of these the one that was
 *     started longest ago: so replacements go through all variants in turn.
 * B3. Of each variant a fault is forgotten every two generations of replicas: otherwise a few crashes would leave one variant
 *     for good, and with it the bugs that all copies of it share.
 */

const RETRY_MS = 250;
const RETRY_MAX_MS = 30_000;

export class Starts {
  readonly #faults: number;
  readonly #faultsOfVariant: number[];
  /** Which of all starts was the last one of each variant. */
  readonly #startedLast: number[];
  #starts = 0;
  /** Failed starts in a row. */
  #failures = 0;
  #retryMs = RETRY_MS;
  #notBefore = 0;
  #everReady = false;

  constructor(faults: number, variants: number) {
    this.#faults = faults;
    this.#faultsOfVariant = Array.from({ length: variants }, () => 0);
    this.#startedLast = Array.from({ length: variants }, () => 0);
  }

  /** A replica of this variant did something wrong, at any time of its life. */
  faulty(variant: number): void {
    this.#faultsOfVariant[variant] = (this.#faultsOfVariant[variant] ?? 0) + 1;
  }

  /** A replica failed before it was of use; true when there is no point in trying again. */
  failed(now: number): boolean {
    this.#failures++;
    // Those that failed together count once.
    if (now >= this.#notBefore) {
      this.#retryMs = Math.min(RETRY_MAX_MS, 2 * this.#retryMs);
      this.#notBefore = now + this.#retryMs;
    }
    return !this.#everReady && this.#failures > this.#faults;
  }

  worked(): void {
    this.#failures = 0;
    this.#retryMs = RETRY_MS;
  }

  /** A replica has a verified state. */
  ready(): void {
    this.#everReady = true;
  }

  /** What made starts fail is over. */
  allow(): void {
    this.#notBefore = 0;
  }

  allowed(now: number): boolean {
    return now >= this.#notBefore;
  }

  /** A replica of this variant is started. */
  started(variant: number): void {
    this.#startedLast[variant] = ++this.#starts;
    if (this.#starts % (4 * (this.#faults + 1)) !== 0) return;
    for (const [one, faults] of this.#faultsOfVariant.entries()) {
      this.#faultsOfVariant[one] = Math.max(0, faults - 1);
    }
  }

  /** `inUse`: the variants of the replicas that are there. */
  variant(inUse: Iterable<number>): number {
    const used = this.#faultsOfVariant.map(() => 0);
    for (const variant of inUse) used[variant] = (used[variant] ?? 0) + 1;
    let best = 0;
    for (let variant = 1; variant < used.length; variant++)
      if (this.#worse(best, variant, used)) best = variant;
    return best;
  }

  #worse(a: number, b: number, used: readonly number[]): boolean {
    for (const counts of [this.#faultsOfVariant, used, this.#startedLast]) {
      const more = (counts[a] ?? 0) - (counts[b] ?? 0);
      if (more !== 0) return more > 0;
    }
    return false;
  }
}
