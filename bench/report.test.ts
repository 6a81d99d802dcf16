import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Comparison, Round } from './compare.ts';
import type { FaultEvent } from './masking.ts';
import type { ModeName } from './modes.ts';
import { plot } from './plot.ts';
import { figure, table } from './report.ts';
import type { RotationResult, RotationRound } from './rotation.ts';
import { judgeMasking, judgeRotation, judgeThroughput } from './verdicts.ts';

const LATENCY = { p50: 1, p90: 1, p99: 1, p999: 1, most: 1 };

function round(mode: ModeName, number: number, requestsPerSecond: number, cpuMsPerRequest: number): Round {
  const rest = { requests: 1, errors: 0, seconds: 1, latencyMs: LATENCY, loadCpuMsPerRequest: 0 };
  return { round: number, mode, requestsPerSecond, cpuMsPerRequest, ...rest };
}

void test('a target is judged by the median of the ratios of the rounds', () => {
  const comparison: Comparison = {
    workload: 'json GET',
    connections: 1,
    modes: ['bare', 'spare', 'always-active'],
    rounds: [
      round('bare', 1, 100, 1),
      round('spare', 1, 30, 2),
      round('always-active', 1, 10, 4),
      round('bare', 2, 10, 1),
      round('spare', 2, 1, 3),
      round('always-active', 2, 10, 3),
    ],
    residentBytes: {},
  };
  const [speed, cpu] = judgeThroughput(comparison);
  assert.equal(speed?.value, 0.2);
  assert.equal(speed.met, true);
  assert.equal(cpu?.value, 0.75);
  assert.equal(cpu.met, true);
});

void test('masking is judged by the worst events, each against its own normal latency', () => {
  const event = (fault: FaultEvent['fault'], worstMs: number, normalMs: number): FaultEvent => {
    return { fault, worstMs, normalMs, calmWorstMs: 0, heldUpMs: 0, worstUntilWholeMs: 0, wholeAfterMs: 0 };
  };
  const events = [event('lie', 12, 2), event('lie', 60, 2), event('kill', 101, 1)];
  const [lie, kill] = judgeMasking({ service: 'json', events });
  assert.deepEqual([lie?.value, lie?.met], [58, false]);
  assert.deepEqual([kill?.value, kill?.met], [100, true]);
});

void test('columns line up', () => {
  assert.equal(
    table([
      ['a', 'b'],
      ['long', '10'],
    ]),
    'a      b\nlong  10',
  );
});

void test('figures have three digits, and what was not measured none', () => {
  assert.deepEqual([1234.5, 12.345, 0.012345, NaN].map(figure), ['1235', '12.3', '0.0123', '-']);
});

function rotationRound(rotating: boolean, p99: number, perSecond: number, errors = 0): RotationRound {
  const second = { requests: perSecond, p50: 1, p99 };
  return {
    rotating,
    requests: 10 * perSecond,
    requestsPerSecond: perSecond,
    p50: 1,
    p99,
    most: p99,
    leastPerSecond: perSecond,
    errors,
    firstError: '',
    seconds: Array.from({ length: 10 }, () => second),
    rotations: rotating ? [{ replica: 'r0', atMs: 2500, wholeMs: 3000 }] : [],
  };
}

function rotationResult(...rounds: RotationRound[]): RotationResult {
  return { workload: 'w', peakPerSecond: 200, offeredPerSecond: 120, rounds, incidents: 0 };
}

void test('rotation may double the p99, cost a twentieth of the throughput, and no request', () => {
  const calm = rotationRound(false, 10, 100);
  const met = (rotating: RotationRound): boolean[] =>
    judgeRotation(rotationResult(calm, rotating)).map((verdict) => verdict.met);
  assert.deepEqual(met(rotationRound(true, 19, 96)), [true, true, true, true]);
  assert.deepEqual(met(rotationRound(true, 21, 94, 1)), [false, true, false, false]);
  const [, incidents] = judgeRotation({ ...rotationResult(calm, calm), incidents: 1 });
  assert.equal(incidents?.met, false);
});

void test('the plot shows both kinds of rounds, and each rotation in both panels', () => {
  const svg = plot([rotationResult(rotationRound(false, 10, 100), rotationRound(true, 12, 99))]);
  assert.match(svg, /^<svg [^]*<\/svg>\n$/);
  assert.equal(svg.match(/<polyline/g)?.length, 4);
  assert.equal(svg.match(/stroke="#e7d9c8"/g)?.length, 2);
  assert.doesNotMatch(svg, /NaN|Infinity/);
});
