/**
 * Modes side by side: round after round, each mode once a round, the first one changing from round to round, because
 * the machine is shared and its speed wanders.
 */
import type { Generator } from './generator.ts';
import type { Job, LoadResult, Step } from './job.ts';
import type { ModeName, RunningMode } from './modes.ts';
import { cpuSecondsOf, residentBytesOf } from './processes.ts';

export interface Workload {
  readonly name: string;
  readonly modes: readonly ModeName[];
  /** One script a connection. */
  readonly scripts: (mode: ModeName) => readonly (readonly Step[])[];
}

export interface Pace {
  readonly rounds: number;
  readonly seconds: number;
  readonly requestsMax: number;
}

export interface Round {
  readonly round: number;
  readonly mode: ModeName;
  readonly requests: number;
  readonly errors: number;
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly latencyMs: LoadResult['latencyMs'];
  /** Of all processes of the mode. */
  readonly cpuMsPerRequest: number;
  /** Of the load generator. */
  readonly loadCpuMsPerRequest: number;
}

export interface Comparison {
  readonly workload: string;
  readonly connections: number;
  readonly modes: readonly ModeName[];
  readonly rounds: readonly Round[];
  /** Proportional set size of all processes of a mode after the last round. */
  readonly residentBytes: Readonly<Partial<Record<ModeName, number>>>;
}

async function once(generator: Generator, mode: RunningMode, job: Job, round: number): Promise<Round> {
  let before = 0;
  const result = await generator.run(job, () => {
    before = cpuSecondsOf(mode.pid);
  });
  await mode.settled();
  const cpuSeconds = cpuSecondsOf(mode.pid) - before;
  if (result.errors > 0) throw new Error(`${mode.name}: ${result.errors} errors: ${result.firstError}`);
  const { requests, errors, seconds, latencyMs } = result;
  return {
    round,
    mode: mode.name,
    requests,
    errors,
    seconds,
    requestsPerSecond: requests / seconds,
    latencyMs,
    cpuMsPerRequest: (1000 * cpuSeconds) / requests,
    loadCpuMsPerRequest: (1000 * result.cpuSeconds) / requests,
  };
}

/** A round before the first one warms up and is not counted. Throws an Error when a request fails. */
export async function compare(
  generator: Generator,
  running: readonly RunningMode[],
  workload: Workload,
  pace: Pace,
  progress: (line: string) => void,
): Promise<Comparison> {
  const modes = running.filter(({ name }) => workload.modes.includes(name));
  const rounds: Round[] = [];
  let connections = 0;
  for (let round = 0; round <= pace.rounds; round++) {
    const first = round % modes.length;
    for (const mode of [...modes.slice(first), ...modes.slice(0, first)]) {
      const scripts = workload.scripts(mode.name);
      connections = scripts.length;
      const { seconds, requestsMax } = pace;
      const job: Job = {
        port: mode.port,
        scripts,
        seconds,
        requestsMax,
        pauseMs: 0,
        perSecond: 0,
        sameBodies: false,
        trace: false,
        forbidden: '',
      };
      const done = await once(generator, mode, job, round);
      if (round > 0) rounds.push(done);
      const which = round === 0 ? 'warm-up' : `round ${round} of ${pace.rounds}`;
      progress(`${workload.name}: ${which}, ${mode.name}: ${done.requestsPerSecond.toFixed(0)}/s`);
    }
  }
  const residentBytes: Partial<Record<ModeName, number>> = {};
  for (const mode of modes) {
    await mode.assertWhole();
    residentBytes[mode.name] = residentBytesOf(mode.pid);
  }
  return {
    workload: workload.name,
    connections,
    modes: modes.map(({ name }) => name),
    rounds,
    residentBytes,
  };
}
