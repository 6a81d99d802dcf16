/** What the benchmark is to show, and whether it did: ratios and differences of modes, taken round by round. */
import type { Comparison, Round } from './compare.ts';
import type { FaultEvent, FaultName } from './masking.ts';
import type { ModeName } from './modes.ts';
import type { RotationResult, RotationRound } from './rotation.ts';
import { pairwise, quantile, sorted, type Spread } from './statistics.ts';

export interface Verdict {
  readonly what: string;
  readonly value: number;
  /** The extremes of the rounds, or of the events. */
  readonly least: number;
  readonly most: number;
  readonly unit: string;
  readonly target: string;
  readonly met: boolean;
}

export interface Masking {
  readonly service: string;
  readonly events: readonly FaultEvent[];
}

const THROUGHPUT_LEAST: Readonly<Record<string, number>> = {
  'conduit reads': 0.6,
  'conduit writes': 0.6,
  'json GET': 0.2,
};
const CPU_MOST = 0.75;
const ADDED_P50_MOST_MS = 1.5;
const ADDED_WORST_MOST_MS: Readonly<Record<FaultName, number>> = { lie: 50, kill: 100 };
const P99_MOST = 2;
const DIP_MOST = 0.05;
const FAULTS: Readonly<Record<FaultName, string>> = { lie: 'wrong reply', kill: 'killed replica' };

export function values(comparison: Comparison, mode: ModeName, pick: (round: Round) => number): number[] {
  return comparison.rounds.filter((round) => round.mode === mode).map(pick);
}

type Pick = (round: Round) => number;

function between(
  comparison: Comparison,
  [above, below]: readonly [ModeName, ModeName],
  pick: Pick,
  combine: (above: number, below: number) => number,
): Spread {
  return pairwise(values(comparison, above, pick), values(comparison, below, pick), combine);
}

const ratio = (a: number, b: number): number => a / b;

function atLeast(what: string, spread: Spread, least: number): Verdict {
  const { median: value } = spread;
  return { what, ...spread, value, unit: '', target: `>= ${least}`, met: value >= least };
}

function atMost(what: string, spread: Spread, most: number, unit: string): Verdict {
  const { median: value } = spread;
  return { what, ...spread, value, unit, target: `<= ${most}${unit}`, met: value <= most };
}

export function judgeThroughput(comparison: Comparison): Verdict[] {
  const { workload } = comparison;
  const speed = between(comparison, ['spare', 'bare'], (round) => round.requestsPerSecond, ratio);
  const cpu = between(comparison, ['spare', 'always-active'], (round) => round.cpuMsPerRequest, ratio);
  return [
    atLeast(`${workload}: requests/s, spare / bare`, speed, THROUGHPUT_LEAST[workload] ?? 0),
    atMost(`${workload}: CPU per request, spare / always-active`, cpu, CPU_MOST, ''),
  ];
}

export function judgeLatency(comparison: Comparison): Verdict[] {
  const added = between(
    comparison,
    ['spare', 'bare'],
    (round) => round.latencyMs.p50,
    (a, b) => a - b,
  );
  return [atMost(`${comparison.workload}: p50 added to bare`, added, ADDED_P50_MOST_MS, ' ms')];
}

export function judgeMasking({ service, events }: Masking): Verdict[] {
  return (['lie', 'kill'] as const).map((fault) => {
    const added = sorted(
      events.filter((event) => event.fault === fault).map((event) => event.worstMs - event.normalMs),
    );
    const spread = { median: quantile(added, 0.99), least: added[0] ?? NaN, most: added.at(-1) ?? NaN };
    const what = `${service}: ${FAULTS[fault]}, p99 of the worst latency added`;
    return atMost(what, spread, ADDED_WORST_MOST_MS[fault], ' ms');
  });
}

function exactly(what: string, values: readonly number[]): Verdict {
  const sum = values.reduce((a, b) => a + b, 0);
  return { what, value: sum, least: sum, most: sum, unit: '', target: '0', met: sum === 0 };
}

/** `rounds` of one kind, in order. */
export function kindOf({ rounds }: RotationResult, rotating: boolean): RotationRound[] {
  return rounds.filter((round) => round.rotating === rotating);
}

export function judgeRotation(result: RotationResult): Verdict[] {
  const [calm, rotating] = [kindOf(result, false), kindOf(result, true)];
  const compared = (
    pick: (round: RotationRound) => number,
    combine: (above: number, below: number) => number,
  ): Spread => pairwise(rotating.map(pick), calm.map(pick), combine);
  const name = `rotation, ${result.workload}`;
  const p99 = compared((round) => round.p99, ratio);
  const dip = compared(
    (round) => round.requestsPerSecond,
    (a, b) => 1 - a / b,
  );
  const errors = rotating.map((round) => round.errors);
  return [
    exactly(`${name}: failed requests, wrong bodies`, errors),
    exactly(`${name}: incidents`, [result.incidents]),
    atMost(`${name}: p99, with / without`, p99, P99_MOST, ''),
    atMost(`${name}: dip of the throughput`, dip, DIP_MOST, ''),
  ];
}
