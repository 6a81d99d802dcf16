/** Runs seeds for `main.ts` in a thread of its own. */
import { parentPort } from 'node:worker_threads';
import { Coverage } from './coverage.ts';
import { type Failure, run } from './run.ts';
import type { ScenarioName } from './scenarios.ts';

export interface Task {
  readonly scenario: ScenarioName;
  readonly from: number;
  readonly count: number;
}

export interface Report {
  readonly runs: number;
  readonly entries: number;
  /** The fewest entries that a run ordered. */
  readonly least: number;
  readonly excused: number;
  readonly failures: readonly {
    readonly scenario: ScenarioName;
    readonly seed: number;
    readonly failure: Failure;
  }[];
  readonly coverage: readonly (readonly [string, number])[];
}

export function work({ scenario, from, count }: Task): Report {
  const coverage = new Coverage();
  const failures: { scenario: ScenarioName; seed: number; failure: Failure }[] = [];
  let [entries, least, excused] = [0, Infinity, 0];
  for (let seed = from; seed < from + count; seed++) {
    const result = run({ scenario, seed, without: [] }, coverage);
    entries += result.entries;
    excused += result.excused;
    least = Math.min(least, result.entries);
    if (result.failure !== null) failures.push({ scenario, seed, failure: result.failure });
  }
  return { runs: count, entries, least, excused, failures, coverage: [...coverage.counts] };
}

parentPort?.on('message', (task: Task) => parentPort?.postMessage(work(task)));
