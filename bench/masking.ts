/**
 * What clients notice of a fault: the worst latency around it, beyond the normal one, and how long the group needs
 * until it is whole again. Under a light, paced load, so that a queue is the fault's and not the load's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from './connection.ts';
import type { Generator } from './generator.ts';
import { type Job, monotonicMs, request, type Trace } from './job.ts';
import { lieHeader, LIED } from './liar.ts';
import type { RunningMode } from './modes.ts';
import { killTree } from './processes.ts';
import { median } from './statistics.ts';
import { count, type Status, statusOf, untilStatus } from './status.ts';

export type FaultName = 'lie' | 'kill';

export interface FaultEvent {
  readonly fault: FaultName;
  /** Median latency in the second before. */
  readonly normalMs: number;
  /** The worst latency in the second before: what the machine does by itself. */
  readonly calmWorstMs: number;
  /** The worst latency of the requests that the fault itself held up: under way, or begun just after it. */
  readonly heldUpMs: number;
  /** The same of all within the second from the fault on, in which a replacement is started, too. */
  readonly worstMs: number;
  /** The same until the group was whole again. */
  readonly worstUntilWholeMs: number;
  /** From the fault until two replicas are active and two suspended, without the faulty one. */
  readonly wholeAfterMs: number;
}

interface Incident {
  readonly fault: FaultName;
  readonly atMs: number;
  readonly wholeMs: number;
  /** Of the request that was lied about. */
  readonly ownMs: number;
}

const CALM_MS = 1500;
const WINDOW_MS = 1000;
const HELD_UP_MS = 20;
/** `/status` costs the manager a little: it is left alone at first. */
const FIRST_LOOK_MS = 300;
const POLL_MS = 25;
const WHOLE_TIMEOUT_MS = 120_000;
const LOAD_SECONDS_MAX = 1800;

export interface MaskingLoad {
  readonly scripts: Job['scripts'];
  readonly pauseMs: number;
  /** Path of a harmless GET request. */
  readonly target: string;
}

function exchange(connection: Connection, bytes: Uint8Array): Promise<number> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    connection.exchange(bytes, (response) => {
      if (response instanceof Error) reject(response);
      else if (response.status !== 200 || response.head.includes(LIED)) {
        reject(new Error(`A lie was answered with: ${response.head}`));
      } else resolve(performance.now() - start);
    });
  });
}

function isWholeWithout(victim: string): (status: Status) => boolean {
  return (status) =>
    status.replicas.length === 4 &&
    count(status, 'running') === 2 &&
    count(status, 'suspended') === 2 &&
    status.replicas.every(({ id }) => id !== victim);
}

async function cause(mode: RunningMode, fault: FaultName, turn: number, target: string): Promise<Incident> {
  const adminPort = mode.adminPort ?? 0;
  const status = await statusOf(adminPort);
  const active = status?.replicas.filter(({ role }) => role === 'active') ?? [];
  const victim = active[turn % active.length];
  if (victim === undefined || victim.pid === null) throw new Error('There is no replica to be faulty.');
  await delay(CALM_MS);
  let ownMs = 0;
  let atMs = monotonicMs();
  if (fault === 'kill') killTree(victim.pid);
  else {
    const connection = await Connection.open(mode.port);
    atMs = monotonicMs();
    ownMs = await exchange(connection, request('GET', target, { headers: lieHeader(victim.variant) }));
    connection.close();
  }
  await delay(FIRST_LOOK_MS);
  await untilStatus(adminPort, isWholeWithout(victim.id), { pollMs: POLL_MS, timeoutMs: WHOLE_TIMEOUT_MS });
  return { fault, atMs, wholeMs: monotonicMs(), ownMs };
}

/** The durations of the requests for which `test` holds, given start and end. */
function durations(trace: Trace, test: (start: number, end: number) => boolean): number[] {
  return [...trace.durations].filter((duration, i) => {
    const start = trace.starts[i] ?? NaN;
    return test(start, start + duration);
  });
}

function judge({ fault, atMs, wholeMs, ownMs }: Incident, trace: Trace): FaultEvent {
  const calm = durations(trace, (start, end) => start >= atMs - WINDOW_MS && end < atMs);
  const worstUntil = (untilMs: number): number =>
    durations(trace, (start, end) => start <= untilMs && end >= atMs).reduce((a, b) => Math.max(a, b), ownMs);
  return {
    fault,
    normalMs: median(calm),
    calmWorstMs: calm.reduce((a, b) => Math.max(a, b), 0),
    heldUpMs: worstUntil(atMs + HELD_UP_MS),
    worstMs: worstUntil(atMs + WINDOW_MS),
    worstUntilWholeMs: worstUntil(wholeMs),
    wholeAfterMs: wholeMs - atMs,
  };
}

/** `events` of each fault, in turn. Throws an Error when a client got an error or a wrong reply. */
export async function measureMasking(
  generator: Generator,
  mode: RunningMode,
  load: MaskingLoad,
  events: number,
  progress: (line: string) => void,
): Promise<FaultEvent[]> {
  const { scripts, pauseMs } = load;
  const loaded = generator.run({
    port: mode.port,
    scripts,
    seconds: LOAD_SECONDS_MAX,
    requestsMax: Infinity,
    pauseMs,
    perSecond: 0,
    sameBodies: false,
    trace: true,
    forbidden: LIED,
  });
  // A failure is seen below; until then another one may come first.
  loaded.catch(() => {});
  const incidents: Incident[] = [];
  try {
    for (let turn = 0; turn < events; turn++) {
      for (const fault of ['lie', 'kill'] as const) {
        const incident = await cause(mode, fault, turn, load.target);
        incidents.push(incident);
        const seconds = (incident.wholeMs - incident.atMs) / 1000;
        progress(`${fault} ${turn + 1} of ${events}: whole again after ${seconds.toFixed(1)} s`);
      }
    }
  } finally {
    generator.stop();
  }
  const { errors, firstError, trace } = await loaded;
  if (errors > 0) throw new Error(`Clients saw ${errors} errors: ${firstError}`);
  if (trace === null) throw new Error('The load generator kept no trace.');
  return incidents.map((incident) => judge(incident, trace));
}
