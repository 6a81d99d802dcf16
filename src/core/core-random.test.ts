/**
 * What did nobody think of? Random requests, faults, slowness, jumps of the clock and kills of everything, from a seed;
 * `testing/checks.ts` watches every step. Safety always; liveness at the end: everything is answered, nothing is left
 * over, the group is whole.
 */
import assert from 'node:assert/strict';
import { env } from 'node:process';
import { test } from 'node:test';
import { NO_REFRESH } from './testing/never.ts';
import { randomFrom } from './testing/random.ts';
import type { Replica } from './testing/replica.ts';
import { World } from './testing/world.ts';
import type { Kind } from './testing/service.ts';

const SEEDS = Number(env['SPARE_SEEDS'] ?? 300);
const FIRST = Number(env['SPARE_SEED'] ?? 0);
const STEPS = 25;

type Random = () => number;

function pick<T>(random: Random, from: readonly T[]): T | undefined {
  return from[Math.floor(random() * from.length)];
}

/** One more replica goes wrong; null when there is none. */
function breakOne(random: Random, world: World, broken: ReadonlySet<Replica>): Replica | null {
  const sound = [...world.replicas.values()].filter((replica) => !broken.has(replica));
  const victim = pick(random, sound);
  if (victim === undefined) return null;
  const { behaviour } = victim;
  const how = pick(random, ['crash', 'hang', 'slow', 'reply', 'update', 'digest', 'export'] as const);
  if (how === 'crash') world.crash(victim.id);
  else if (how === 'hang') behaviour.hung = true;
  else if (how === 'slow') behaviour.workMs = 300;
  else behaviour.lie = how ?? null;
  return victim;
}

function requestKind(random: Random): Kind {
  const dice = random();
  if (dice < 0.6) return 'write';
  if (dice < 0.985) return 'read';
  return pick(random, ['poison', 'flood', 'hang', 'random'] as const) ?? 'read';
}

function request(random: Random, world: World): void {
  const name = random() < 0.2 ? Math.floor(random() * 8) : -1;
  const key = name < 0 ? null : { key: `k${name}`, fingerprint: random() < 0.9 ? 'same' : 'other' };
  world.request(requestKind(random), key);
}

function newWorld(random: Random, faults: number): World {
  const delayed = random() < 0.5;
  const small = {
    ...NO_REFRESH,
    entries: 4 + random() * 20,
    ageMs: 1000,
    ordered: 60,
    checkpointBytes: random() * 2000,
  };
  return new World({
    faults,
    random,
    ...(delayed ? { appendMs: () => Math.floor(random() * 40) } : {}),
    core: { refresh: small },
    behaviour: () => ({ startMs: 20 + random() * 200, workMs: random() < 0.5 ? 0 : random() * 10 }),
  });
}

function live(seed: number): void {
  const random = randomFrom(seed);
  const faults = 1 + (seed % 3);
  const world = newWorld(random, faults);
  let broken = new Set<Replica>();
  for (let step = 0; step < STEPS; step++) {
    for (let i = random() * 12; i > 1; i--) request(random, world);
    if (broken.size < faults && random() < 0.35) {
      const victim = breakOne(random, world, broken);
      if (victim !== null) broken.add(victim);
    }
    world.diskStuck = random() < 0.1;
    world.run(random() * 300);
    const dice = random();
    if (dice < 0.03) {
      world.kill(random() < 0.5 ? 0 : Math.floor(random() * 4));
      broken.clear();
    } else if (dice < 0.06 && world.core.replicas.count('starting') === 0) world.now += 5000;
    // What is gone is repaired once the group is whole again.
    if (world.whole) broken = new Set([...broken].filter(({ id }) => world.replicas.has(id)));
  }
  world.diskStuck = false;
  for (const { id } of broken) world.crash(id);
  const quiet = (): boolean => world.answered && world.whole && world.leftovers.length === 0;
  world.until('everything is answered, nothing left over, the group whole', quiet, 120_000);
  assert.equal(world.halted, null);
}

void test(`P1-P7: ${SEEDS} random lives: never a wrong answer, and in the end everything is answered`, () => {
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      live(seed);
    } catch (error) {
      throw new Error(`seed ${seed} (again with SPARE_SEED=${seed} SPARE_SEEDS=1)`, { cause: error });
    }
  }
});
