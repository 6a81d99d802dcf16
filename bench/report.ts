/** The tables on the terminal. */
import type { DomainFigures } from './domains.ts';
import type { Comparison } from './compare.ts';
import type { FaultEvent } from './masking.ts';
import { median, quantile, sorted, spread } from './statistics.ts';
import type { RotationResult } from './rotation.ts';
import { kindOf, type Masking, values, type Verdict } from './verdicts.ts';

/** Columns as wide as their widest cell; the first one to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  const pad = (cell: string, i: number): string =>
    i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0);
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

/** Three digits are enough. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return value.toPrecision(3);
}

const MIB = 1024 ** 2;

function comparisonTable(comparison: Comparison): string {
  const { workload, connections, modes, residentBytes } = comparison;
  const clients = connections === 1 ? '1 client' : `${connections} clients`;
  const head = [
    `${workload}, ${clients}`,
    'req/s',
    '(least..most)',
    'p50 ms',
    'p90',
    'p99',
    'p99.9',
    'CPU ms/req',
    'load ms/req',
    'PSS MiB',
    'errors',
  ];
  const rows = modes.map((mode) => {
    const of = (pick: Parameters<typeof values>[2]): number => median(values(comparison, mode, pick));
    const speed = spread(values(comparison, mode, (round) => round.requestsPerSecond));
    return [
      `  ${mode}`,
      figure(speed.median),
      `(${figure(speed.least)}..${figure(speed.most)})`,
      figure(of((round) => round.latencyMs.p50)),
      figure(of((round) => round.latencyMs.p90)),
      figure(of((round) => round.latencyMs.p99)),
      figure(of((round) => round.latencyMs.p999)),
      figure(of((round) => round.cpuMsPerRequest)),
      figure(of((round) => round.loadCpuMsPerRequest)),
      figure((residentBytes[mode] ?? NaN) / MIB),
      String(values(comparison, mode, (round) => round.errors).reduce((a, b) => a + b, 0)),
    ];
  });
  return table([head, ...rows]);
}

function maskingTable({ service, events }: Masking): string {
  const head = [
    `masking, ${service}`,
    'events',
    'normal ms',
    'calm worst',
    'held up p50',
    'p99',
    'added p50',
    'added p99',
    'until whole p99',
    'whole after s',
    '(most)',
  ];
  const rows = (['lie', 'kill'] as const).map((fault) => {
    const mine = events.filter((event) => event.fault === fault);
    const of = (pick: (event: FaultEvent) => number): Float64Array => sorted(mine.map(pick));
    const added = of((event) => event.worstMs - event.normalMs);
    const held = of((event) => event.heldUpMs - event.normalMs);
    const whole = of((event) => event.wholeAfterMs / 1000);
    return [
      `  ${fault}`,
      String(mine.length),
      figure(median(mine.map((event) => event.normalMs))),
      figure(
        quantile(
          of((event) => event.calmWorstMs),
          0.99,
        ),
      ),
      figure(quantile(held, 0.5)),
      figure(quantile(held, 0.99)),
      figure(quantile(added, 0.5)),
      figure(quantile(added, 0.99)),
      figure(
        quantile(
          of((event) => event.worstUntilWholeMs - event.normalMs),
          0.99,
        ),
      ),
      figure(median(whole)),
      figure(whole.at(-1) ?? NaN),
    ];
  });
  return table([head, ...rows]);
}

function rotationTable(result: RotationResult): string {
  const { workload, peakPerSecond, offeredPerSecond } = result;
  const head = [
    `${workload}, ${figure(offeredPerSecond)}/s of ${figure(peakPerSecond)}/s`,
    'requests',
    'rotations',
    'req/s',
    'slowest 5 s',
    'p50 ms',
    'p99',
    '(least..most)',
    'most',
    'errors',
  ];
  const rows = [false, true].map((rotating) => {
    const rounds = kindOf(result, rotating);
    const p99 = spread(rounds.map((round) => round.p99));
    const sum = (pick: (round: (typeof rounds)[number]) => number): number =>
      rounds.reduce((total, round) => total + pick(round), 0);
    return [
      rotating ? '  with rotation' : '  without',
      String(sum((round) => round.requests)),
      String(sum((round) => round.rotations.length)),
      figure(median(rounds.map((round) => round.requestsPerSecond))),
      figure(Math.min(...rounds.map((round) => round.leastPerSecond))),
      figure(median(rounds.map((round) => round.p50))),
      figure(p99.median),
      `(${figure(p99.least)}..${figure(p99.most)})`,
      figure(Math.max(...rounds.map((round) => round.most))),
      String(sum((round) => round.errors)),
    ];
  });
  return table([head, ...rows]);
}

function domainTable({ driver, isolation, figures }: DomainFigures): string {
  const head = [`domains, ${driver}: ${isolation}`, 'median', '(least..most)'];
  const rows = Object.entries(figures).map(([name, { median, least, most }]) => [
    `  ${name}`,
    figure(median),
    `(${figure(least)}..${figure(most)})`,
  ]);
  return table([head, ...rows]);
}

function verdictTable(verdicts: readonly Verdict[]): string {
  const head = ['target', 'measured', '(least..most)', 'wanted', ''];
  const rows = verdicts.map(({ what, value, least, most, unit, target, met }) => [
    `  ${what}`,
    `${figure(value)}${unit}`,
    `(${figure(least)}..${figure(most)})`,
    target,
    met ? 'met' : 'not met',
  ]);
  return table([head, ...rows]);
}

export function report(
  comparisons: readonly Comparison[],
  maskings: readonly Masking[],
  rotations: readonly RotationResult[],
  domains: readonly DomainFigures[],
  verdicts: readonly Verdict[],
): string {
  const tables = [
    ...comparisons.map(comparisonTable),
    ...maskings.map(maskingTable),
    ...rotations.map(rotationTable),
    ...domains.map(domainTable),
  ];
  return [...tables, ...(verdicts.length > 0 ? [verdictTable(verdicts)] : [])].join('\n\n');
}
