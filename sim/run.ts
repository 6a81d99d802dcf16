/** One seed of one scenario, from the plan to the verdict. */
import { randomFrom } from '../src/core/testing/random.ts';
import type { Coverage } from './coverage.ts';
import { type Plan, planOf, type ScenarioName } from './scenarios.ts';
import { type Observer, Simulation } from './simulation.ts';
import { Violation } from './violation.ts';

export interface Case {
  readonly scenario: ScenarioName;
  readonly seed: number;
  /** Faults of the schedule that are left out, by their place in it. */
  readonly without: readonly number[];
}

export interface Failure {
  readonly promise: string;
  readonly what: string;
  readonly at: number;
}

export interface Run {
  readonly failure: Failure | null;
  readonly entries: number;
  readonly simulatedMs: number;
  /** Decisions by chance that were lost with all that knew them: excused. */
  readonly excused: number;
}

export function planFor({ scenario, seed, without }: Case): Plan {
  const plan = planOf(scenario, randomFrom(seed * 16));
  return { ...plan, schedule: plan.schedule.filter((_, place) => !without.includes(place)) };
}

export function run(which: Case, coverage: Coverage | null = null, transcript: Observer | null = null): Run {
  const observer: Observer | null =
    coverage === null && transcript === null
      ? null
      : (now, host, what): void => {
          coverage?.observe(host, what);
          transcript?.(now, host, what);
        };
  const simulation = new Simulation(which.seed, planFor(which), observer);
  let failure: Failure | null = null;
  try {
    simulation.run();
  } catch (error) {
    failure = failureOf(error, simulation.timeline.now);
  }
  const { order, timeline, checks } = simulation;
  coverage?.add(checks.movements.counts);
  return { failure, entries: order.head + 1, simulatedMs: timeline.now, excused: checks.lost };
}

function failureOf(error: unknown, at: number): Failure {
  if (error instanceof Violation) return { promise: error.promise, what: error.message, at };
  // An assertion of the core, or a bug of the simulator.
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { promise: 'assert', what, at };
}
