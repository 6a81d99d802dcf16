/**
 * Looks for a planted bug as one looks for a real one: seed after seed of its scenario, until checkers caught it a few
 * times. The same seeds catch the same bugs on every machine.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Report, Task } from '../worker.ts';
import type { Bug } from './bug.ts';
import { Planted } from './plant.ts';

/** So many catches are enough; where they are rare, the first. */
const CATCHES = 3;
const RARE_AFTER = 100;
/** A run that takes longer, also on a busy machine, never ends. */
const RUN_MS_MAX = 120_000;

export interface Outcome {
  readonly bug: Bug;
  /** Seeds that were tried. */
  readonly seeds: number;
  /** How many it took to the first catch; null when it survived. */
  readonly first: number | null;
  /** How often each checker caught it, by its promise. */
  readonly catches: ReadonlyMap<string, number>;
  /** The first finding. */
  readonly what: string;
}

export async function hunt(bug: Bug, most: number, enough: number = CATCHES): Promise<Outcome> {
  using planted = new Planted(bug);
  const worker = new Worker(join(planted.folder, 'sim/worker.ts'));
  const catches = new Map<string, number>();
  let [seeds, caught, what]: [number, number, string] = [0, 0, ''];
  let first: number | null = null;
  const take = (seed: number, promise: string, finding: string): void => {
    if (first === null) [first, what] = [seed + 1, finding];
    catches.set(promise, (catches.get(promise) ?? 0) + 1);
    caught++;
  };
  for (let seed = 0; seed < most; seed++) {
    seeds++;
    const report = await runs(worker, { scenario: bug.scenario, from: seed, count: 1 });
    const [failed] = report?.failures ?? [];
    if (report === null) take(seed, 'endless', 'a run does not end');
    else if (failed !== undefined) take(seed, failed.failure.promise, failed.failure.what);
    if (caught >= enough || report === null || (caught > 0 && seeds >= RARE_AFTER)) break;
  }
  await worker.terminate();
  return { bug, seeds, first, catches, what };
}

/** Null when a run does not end. */
async function runs(worker: Worker, task: Task): Promise<Report | null> {
  worker.postMessage(task);
  try {
    const signal = AbortSignal.timeout(RUN_MS_MAX);
    const [report] = (await once(worker, 'message', { signal })) as [Report];
    return report;
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') return null;
    throw error;
  }
}
