/** A plot of a rotation benchmark as SVG: latency and throughput, second by second, and when replicas were replaced. */
import type { RotationResult, RotationRound } from './rotation.ts';

const WIDTH = 1000;
const LEFT = 70;
const PANEL = 150;
const GAP = 46;
const TOP = 40;
const COLORS = { calm: '#7a8ea6', rotating: '#c2410c', mark: '#e7d9c8' };

interface Line {
  readonly name: string;
  readonly color: string;
  readonly values: readonly number[];
}

/** The rounds of a kind, one after another; the first and last second of each are not whole. */
function concatenated(rounds: readonly RotationRound[], pick: (round: RotationRound) => number[]): number[] {
  return rounds.flatMap((round) => pick(round).slice(1, -1));
}

/** The seconds, of those that `concatenated` keeps, in which a rotation began. */
function beginnings(rounds: readonly RotationRound[]): number[] {
  let offset = 0;
  return rounds.flatMap((round) => {
    const begun = round.rotations.map(({ atMs }) => offset + atMs / 1000 - 1);
    offset += Math.max(0, round.seconds.length - 2);
    return begun;
  });
}

function polyline({ color, values }: Line, seconds: number, top: number, most: number): string {
  const points = values.map((value, i) => {
    const x = LEFT + ((WIDTH - LEFT - 10) * i) / seconds;
    const y = top + PANEL * (1 - Math.min(1, value / most));
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return `<polyline fill="none" stroke="${color}" stroke-width="1" points="${points.join(' ')}"/>`;
}

function panel(title: string, lines: readonly Line[], marks: readonly number[], top: number): string[] {
  const seconds = Math.max(...lines.map(({ values }) => values.length));
  const most = 1.1 * lines.reduce((a, { values }) => Math.max(a, ...values), 0);
  const ticks = [0, 0.5, 1].map((share) => {
    const y = top + PANEL * (1 - share);
    const text = `<text x="${LEFT - 6}" y="${y + 4}" text-anchor="end">${(most * share).toPrecision(3)}</text>`;
    return `${text}<path d="M${LEFT} ${y}H${WIDTH - 10}" stroke="#ddd"/>`;
  });
  const legend = lines.map(
    ({ name, color }, i) =>
      `<text x="${WIDTH - 10 - 170 * (lines.length - 1 - i)}" y="${top - 8}" text-anchor="end" fill="${color}">${name}</text>`,
  );
  const begun = marks.map((second) => {
    const x = LEFT + ((WIDTH - LEFT - 10) * second) / seconds;
    return `<path d="M${x.toFixed(1)} ${top}v${PANEL}" stroke="${COLORS.mark}"/>`;
  });
  const axis = `<text x="${WIDTH - 10}" y="${top + PANEL + 14}" text-anchor="end">${seconds} s</text>`;
  return [
    `<text x="${LEFT}" y="${top - 8}" font-weight="bold">${title}</text>`,
    ...ticks,
    ...begun,
    ...lines.map((line) => polyline(line, seconds, top, most)),
    ...legend,
    axis,
  ];
}

function panels({ workload, rounds }: RotationResult, top: number): string[] {
  const [calm, rotating] = [false, true].map((kind) => rounds.filter((round) => round.rotating === kind));
  const lines = (pick: (round: RotationRound) => number[]): Line[] => [
    { name: 'without rotation', color: COLORS.calm, values: concatenated(calm ?? [], pick) },
    { name: 'with rotation', color: COLORS.rotating, values: concatenated(rotating ?? [], pick) },
  ];
  const marks = beginnings(rotating ?? []);
  const p99 = lines(({ seconds }) => seconds.map((second) => second.p99 || 0));
  const speed = lines(({ seconds }) => seconds.map((second) => second.requests));
  return [
    ...panel(`${workload}: p99 of each second, ms`, p99, marks, top),
    ...panel(`${workload}: requests per second`, speed, marks, top + PANEL + GAP),
  ];
}

export function plot(results: readonly RotationResult[]): string {
  const each = 2 * (PANEL + GAP);
  const height = TOP + each * results.length;
  const body = results.flatMap((result, i) => panels(result, TOP + each * i));
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`;
  return [head, '<rect width="100%" height="100%" fill="#fff"/>', ...body, '</svg>', ''].join('\n');
}
