/** Test support: the words that scenarios are written in. */
import type { Effect } from '../effect.ts';
import type { FaultKind } from '../fault.ts';
import { assert } from '../ids.ts';
import { NO_REFRESH } from './never.ts';
import type { Replica } from './replica.ts';
import { World, type WorldOptions } from './world.ts';

/** Each value of f that the scenarios are tried with. */
export const EACH = [1, 2, 3] as const;

/** A world whose group is whole. */
export function whole(faults: number, options: Omit<WorldOptions, 'faults'> = {}): World {
  const world = new World({ faults, ...options });
  world.until('the group is whole', () => world.whole);
  return world;
}

export function at<T>(list: readonly T[], place: number): T {
  const found = list[place];
  assert(found !== undefined, `there is a number ${place}`);
  return found;
}

export function active(world: World, place = 0): Replica {
  return at(world.role('active'), place);
}

export function passive(world: World, place = 0): Replica {
  return at(world.role('passive'), place);
}

export function named(world: World): string[] {
  return world.incidents.map(({ replica, kind }) => `${replica} ${kind}`).sort();
}

export function blame(...faults: readonly (readonly [Replica, FaultKind])[]): string[] {
  return faults.map(([{ id }, kind]) => `${id} ${kind}`).sort();
}

export function requests(world: World, count: number): void {
  for (let i = 0; i < count; i++) world.request(i % 4 === 3 ? 'read' : 'write');
}

/** Everything is answered, the group is whole, nothing is left over. */
export function settled(world: World): void {
  const quiet = (): boolean => world.answered && world.whole && world.leftovers.length === 0;
  world.until('answered and whole', quiet, 20_000);
}

/** Settled, and it goes on. */
export function recovers(world: World): void {
  settled(world);
  requests(world, 5);
  settled(world);
}

export function effects<T extends Effect['type']>(world: World, type: T): Extract<Effect, { type: T }>[] {
  return world.trace.filter((effect): effect is Extract<Effect, { type: T }> => effect.type === type);
}

/** A refresh after so many updates, with a checkpoint each time. */
export function refreshEvery(entries: number): NonNullable<WorldOptions['core']> {
  return { refresh: { ...NO_REFRESH, entries, checkpointBytes: 1 } };
}
