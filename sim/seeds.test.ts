/**
 * Does each scenario keep all promises, from the seeds that once found a bug (`seeds.json`) and from a few more? Is a run the
 * same each time?
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import known from './seeds.json' with { type: 'json' };
import { type Case, run } from './run.ts';
import { isScenario, SCENARIO_NAMES } from './scenarios.ts';
import { transcriber } from './transcript.ts';

const SEEDS = 30;

function text(which: Case): string {
  const lines: string[] = [];
  run(
    which,
    null,
    transcriber((line) => lines.push(line)),
  );
  return lines.join('\n');
}

for (const { scenario, seed, what } of known as { scenario: string; seed: number; what: string }[]) {
  test(`P1-P7: found before: ${scenario} ${seed}: ${what}`, () => {
    assert.ok(isScenario(scenario));
    assert.equal(run({ scenario, seed, without: [] }).failure, null);
  });
}

for (const scenario of SCENARIO_NAMES) {
  test(`P1-P7: ${scenario}: ${SEEDS} seeds keep all promises`, () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      assert.equal(run({ scenario, seed, without: [] }).failure, null, `seed ${seed}`);
    }
  });
}

test('a seed gives the same transcript each time', () => {
  const which: Case = { scenario: 'mixed', seed: 7, without: [] };
  const first = text(which);
  assert.ok(first.length > 10_000);
  assert.equal(text(which), first);
});
