/** The few statistics that the benchmarks report. All of them are of finite numbers; of none, they are NaN. */

/** The middle of several rounds, and how far apart the rounds were. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Latencies in milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly most: number;
}

export function sorted(values: Iterable<number>): Float64Array {
  return Float64Array.from(values).sort();
}

/** Nearest rank: the least of the values that at least the share `q` (0 to 1) of all does not exceed. */
export function quantile(ascending: Float64Array, q: number): number {
  const rank = Math.ceil(q * ascending.length);
  return ascending[Math.max(0, rank - 1)] ?? NaN;
}

/** The mean of the two middle values where there is no middle one. */
export function median(values: Iterable<number>): number {
  const ascending = sorted(values);
  const half = ascending.length / 2;
  return ((ascending[Math.ceil(half) - 1] ?? NaN) + (ascending[Math.floor(half)] ?? NaN)) / 2;
}

export function spread(values: readonly number[]): Spread {
  const ascending = sorted(values);
  return { median: median(values), least: ascending[0] ?? NaN, most: ascending.at(-1) ?? NaN };
}

export function latency(milliseconds: Iterable<number>): Latency {
  const ascending = sorted(milliseconds);
  return {
    p50: quantile(ascending, 0.5),
    p90: quantile(ascending, 0.9),
    p99: quantile(ascending, 0.99),
    p999: quantile(ascending, 0.999),
    most: ascending.at(-1) ?? NaN,
  };
}

/** Round by round, so that what slowed a whole round down cancels out. */
export function pairwise(
  above: readonly number[],
  below: readonly number[],
  combine: (above: number, below: number) => number,
): Spread {
  return spread(above.map((value, round) => combine(value, below[round] ?? NaN)));
}
