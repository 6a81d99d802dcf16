/** What scenarios draw from the seed: numbers, kinds of requests, faults, and when these happen. */
import type { Kind } from '../src/core/testing/service.ts';
import type { Workload } from './clients.ts';
import { type Fault, FAILURES, LIES, type Planned, TIMES, type Way } from './faults.ts';

export type Random = () => number;

/** When the group is up. */
export const BEGIN_MS: number = 400;
export const END_MS: number = 2500;

export function between(random: Random, least: number, most: number): number {
  return Math.floor(least + random() * (most - least + 1));
}

export function oneOf<T>(random: Random, list: readonly [T, ...T[]]): T {
  return list[Math.floor(random() * list.length)] ?? list[0];
}

export function plain(random: Random): Kind {
  return random() < 0.7 ? 'write' : 'read';
}

/** Mostly plain requests, now and then such a one. */
export function seldom(share: number, kinds: readonly [Kind, ...Kind[]]): Workload['kind'] {
  return (random) => (random() < share ? oneOf(random, kinds) : plain(random));
}

export function times(
  random: Random,
  least: number,
  most: number,
  fault: () => Fault,
  [from, to]: readonly [number, number] = [BEGIN_MS, END_MS],
): Planned[] {
  const count = between(random, least, most);
  const planned = Array.from({ length: count }, () => ({
    at: between(random, from, to),
    fault: fault(),
  }));
  return planned.sort((a, b) => a.at - b.at);
}

export function replicaFault(random: Random, ways: readonly [Way, ...Way[]] = [...LIES, ...FAILURES]): Fault {
  const [pick, way, when] = [random(), oneOf(random, ways), oneOf(random, [...TIMES])];
  return { type: 'replica', pick, way, when, young: false };
}

export function anyFault(random: Random): Fault {
  const pick = random();
  const ms = between(random, 100, 1500);
  switch (
    oneOf(random, [
      'replica',
      'replica',
      'replica',
      'host',
      'host',
      'all',
      'partition',
      'cut',
      'order',
      'noise',
      'lag',
      'alarm',
      'skew',
      'disk',
      'rotate',
      'rotate',
    ])
  ) {
    case 'host':
      return { type: 'host-crash', pick, ms };
    case 'all':
      return { type: 'restart-all', ms };
    case 'partition':
      return { type: 'partition', pick, ms };
    case 'cut':
      return { type: 'order-cut', pick, ms };
    case 'order':
      return { type: 'order-down', ms };
    case 'noise':
      return { type: 'noise', ms, lose: random() * 0.3, double: random() * 0.3, delayMs: random() * 60 };
    case 'lag':
      return { type: 'order-lag', pick, ms, lagMs: between(random, 20, 300) };
    case 'alarm':
      return { type: 'false-alarm', pick, about: random() };
    case 'skew':
      return { type: 'skew', pick, ms: between(random, -3000, 3000) };
    case 'rotate':
      return { type: 'rotate', pick };
    case 'disk':
      return { type: 'disk-full', pick, ms };
    default:
      return replicaFault(random);
  }
}

export function anyKind(random: Random): Workload['kind'] {
  const dice = random();
  if (dice < 0.4) return plain;
  if (dice < 0.6) return seldom(0.02, ['poison', 'flood', 'hang', 'random', 'split']);
  return seldom(0.2 * random(), ['split', 'split', 'split', 'random']);
}
