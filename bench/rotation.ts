/**
 * What clients notice of proactive recovery: a steady load at a share of the peak, with a replica replaced every few seconds
 * against the same without, in turns on the same group, and the peak measured anew for each two rounds, because the machine's
 * speed wanders.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Access, readAccess } from '../src/admin/access.ts';
import type { Generator } from './generator.ts';
import type { Job, LoadResult } from './job.ts';
import { monotonicMs } from './job.ts';
import type { RunningMode } from './modes.ts';
import { median, quantile, sorted } from './statistics.ts';
import { statusOf } from './status.ts';

/** Of the peak. */
const SHARE = 0.6;
const EVERY_MS = 5000;
/** A round without: there are no events in it that must become many. */
const CALM_SECONDS = 10;
const SETTLE_MS = 1000;

export interface RotationPace {
  readonly rounds: number;
  /** Of a round with rotations. */
  readonly seconds: number;
  /** Of a measurement of the peak. */
  readonly peakSeconds: number;
}

/** A second of a round. */
export interface Second {
  /** Requests that ended in it. */
  readonly requests: number;
  readonly p50: number;
  readonly p99: number;
}

export interface RotationRound {
  readonly rotating: boolean;
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
  /** Requests per second in the slowest stretch as long as the time between two rotations. */
  readonly leastPerSecond: number;
  readonly errors: number;
  readonly firstError: string;
  readonly seconds: readonly Second[];
  /** When in the round replicas were replaced, and until the group was whole again, in milliseconds. */
  readonly rotations: readonly {
    readonly replica: string;
    readonly atMs: number;
    readonly wholeMs: number;
  }[];
}

export interface RotationResult {
  readonly workload: string;
  /** Median of those that were measured before each two rounds. */
  readonly peakPerSecond: number;
  readonly offeredPerSecond: number;
  readonly rounds: readonly RotationRound[];
  readonly incidents: number;
}

type Rotation = RotationRound['rotations'][number];

async function replaceOldest(mode: RunningMode, access: Access, beginMs: number): Promise<Rotation> {
  const status = await statusOf(mode.adminPort ?? 0);
  const [oldest] = (status?.replicas ?? []).toSorted((a, b) => b.ageSeconds - a.ageSeconds);
  if (oldest === undefined) throw new Error('There is no replica to be replaced.');
  const atMs = monotonicMs() - beginMs;
  const response = await fetch(`${access.url}/replicas/${oldest.id}/recover`, {
    method: 'POST',
    headers: { authorization: `Bearer ${access.token}` },
  });
  if (response.status !== 200) throw new Error(`${oldest.id} was not replaced: ${await response.text()}`);
  await response.arrayBuffer();
  return { replica: oldest.id, atMs, wholeMs: monotonicMs() - beginMs };
}

/** One after another, each begun in time, until `over`. */
async function keepReplacing(
  mode: RunningMode,
  access: Access,
  beginMs: number,
  over: () => boolean,
): Promise<Rotation[]> {
  const rotations: Rotation[] = [];
  for (let dueMs = EVERY_MS / 2; ; dueMs += EVERY_MS) {
    await delay(Math.max(0, beginMs + dueMs - monotonicMs()));
    if (over()) return rotations;
    rotations.push(await replaceOldest(mode, access, beginMs));
  }
}

function inSeconds({ trace, seconds }: LoadResult, beginMs: number): Second[] {
  const durations: number[][] = Array.from({ length: Math.floor(seconds) }, () => []);
  for (const [i, start] of (trace?.starts ?? []).entries()) {
    const duration = trace?.durations[i] ?? 0;
    durations[Math.floor((start + duration - beginMs) / 1000)]?.push(duration);
  }
  return durations.map((each) => {
    const ascending = sorted(each);
    return { requests: each.length, p50: quantile(ascending, 0.5), p99: quantile(ascending, 0.99) };
  });
}

/** The first and the last second of a round are not whole. */
function leastOf(seconds: readonly Second[]): number {
  const width = EVERY_MS / 1000;
  let least = Infinity;
  for (let from = 1; from + width < seconds.length; from++) {
    const within = seconds.slice(from, from + width).reduce((sum, { requests }) => sum + requests, 0);
    least = Math.min(least, within / width);
  }
  return least;
}

async function round(
  generator: Generator,
  mode: RunningMode,
  job: Job,
  access: Access | null,
): Promise<RotationRound> {
  let beginMs = 0;
  let over = false;
  let replacing: Promise<Rotation[]> = Promise.resolve([]);
  const result = await generator.run(job, () => {
    beginMs = monotonicMs();
    if (access !== null) replacing = keepReplacing(mode, access, beginMs, () => over);
  });
  over = true;
  const rotations = await replacing;
  await mode.settled();
  await delay(SETTLE_MS);
  const seconds = inSeconds(result, beginMs);
  const { requests, errors, firstError, latencyMs } = result;
  return {
    rotating: access !== null,
    requests,
    requestsPerSecond: requests / result.seconds,
    p50: latencyMs.p50,
    p99: latencyMs.p99,
    most: latencyMs.most,
    leastPerSecond: leastOf(seconds),
    errors,
    firstError,
    seconds,
    rotations,
  };
}

/** `folder`: where the group's data folder is. A round without and one with rotations warm up, and are not counted. */
export async function measureRotation(
  generator: Generator,
  mode: RunningMode,
  folder: string,
  workload: { readonly name: string; readonly scripts: Job['scripts'] },
  pace: RotationPace,
  progress: (line: string) => void,
): Promise<RotationResult> {
  const access = readAccess(join(folder, 'data'));
  if (access === null) throw new Error('The group has not said where its admin API is.');
  const closed: Job = {
    port: mode.port,
    scripts: workload.scripts,
    seconds: pace.peakSeconds,
    requestsMax: Infinity,
    pauseMs: 0,
    perSecond: 0,
    sameBodies: true,
    trace: true,
    forbidden: '',
  };
  await round(generator, mode, closed, null);
  const rounds: RotationRound[] = [];
  const peaks: number[] = [];
  for (let number = 0; number <= pace.rounds; number++) {
    const which = number === 0 ? 'warm-up' : `round ${number} of ${pace.rounds}`;
    const peak = (await round(generator, mode, closed, null)).requestsPerSecond;
    const perSecond = SHARE * peak;
    if (number > 0) peaks.push(peak);
    progress(`${workload.name}: ${which}, peak ${peak.toFixed(0)}/s, offered ${perSecond.toFixed(0)}/s`);
    for (const rotating of [false, true]) {
      const seconds = (number === 0 ? 0.3 : 1) * (rotating ? pace.seconds : CALM_SECONDS);
      const done = await round(generator, mode, { ...closed, perSecond, seconds }, rotating ? access : null);
      if (number > 0) rounds.push(done);
      const events = rotating ? `${done.rotations.length} rotations` : 'no rotation';
      const figures = `${done.requestsPerSecond.toFixed(0)}/s, p99 ${done.p99.toFixed(1)} ms, ${done.errors} errors`;
      progress(`${workload.name}: ${which}, ${events}: ${figures} ${done.firstError}`);
    }
  }
  const status = await statusOf(mode.adminPort ?? 0);
  const incidents = status?.incidents ?? NaN;
  const peakPerSecond = median(peaks);
  return {
    workload: workload.name,
    peakPerSecond,
    offeredPerSecond: SHARE * peakPerSecond,
    rounds,
    incidents,
  };
}
