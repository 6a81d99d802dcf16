/**
 * Do clients notice anything when replicas die, hang, lie or corrupt their state? RealWorld's own suite says no, for
 * f = 1 and f = 2, and the group is whole again by itself.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FaultKind } from '../src/core/index.ts';
import type { Variant } from '../src/index.ts';
import { conduitSuite } from './support/conduit-suite.ts';
import { CONDUIT, PATIENCE_MS, signalTree, Spare } from './support/spare.ts';

const ASSERTIONS = 311;
/** Some 32 requests with this between them: a fault after a second is midway. */
const DELAY_MS = 60;
const MIDWAY_MS = 1000;

const LIAR: Variant = { command: ['node', 'faulty-reply.mjs'] };
const CORRUPTER: Variant = { command: ['node', 'faulty-state.mjs'] };

interface Scenario {
  readonly name: string;
  readonly faults: number;
  /** Variants of the first replicas; the rest are sound. */
  readonly variants?: readonly Variant[];
  readonly midway?: (active: { id: string; pid: number }[]) => { id: string; kind: FaultKind }[];
  /** The replicas that must be named, where they are known beforehand. */
  readonly expected?: readonly { readonly id: string; readonly kind: FaultKind }[];
}

function hit(signal: NodeJS.Signals, kind: FaultKind, count: number): NonNullable<Scenario['midway']> {
  return (active) =>
    active.slice(0, count).map(({ id, pid }) => {
      signalTree(pid, signal);
      return { id, kind };
    });
}

const SCENARIOS: readonly Scenario[] = [
  { name: 'no fault', faults: 1, expected: [] },
  { name: 'an active replica killed midway', faults: 1, midway: hit('SIGKILL', 'crash', 1) },
  { name: 'an active replica stopped midway', faults: 1, midway: hit('SIGSTOP', 'late', 1) },
  {
    name: 'a variant that alters replies',
    faults: 1,
    variants: [{}, LIAR],
    expected: [{ id: 'r1', kind: 'reply' }],
  },
  {
    name: 'a variant that writes a wrong value',
    faults: 1,
    variants: [{}, CORRUPTER],
    expected: [{ id: 'r1', kind: 'update' }],
  },
  { name: 'two killed at once, f = 2', faults: 2, midway: hit('SIGKILL', 'crash', 2) },
  { name: 'two stopped at once, f = 2', faults: 2, midway: hit('SIGSTOP', 'late', 2) },
  {
    name: 'one lies and one corrupts its state, f = 2',
    faults: 2,
    variants: [LIAR, {}, CORRUPTER],
    expected: [
      { id: 'r0', kind: 'reply' },
      { id: 'r2', kind: 'update' },
    ],
  },
  {
    name: 'one lies while another is killed, f = 2',
    faults: 2,
    variants: [{}, {}, LIAR],
    midway: (active) => hit('SIGKILL', 'crash', 1)(active),
  },
];

function variantsOf({ faults, variants = [] }: Scenario): Variant[] {
  return Array.from({ length: 2 * faults + 2 }, (_, i) => variants[i] ?? {});
}

for (const scenario of SCENARIOS) {
  test(`P1 P5 P6: ${scenario.name}: clients see nothing, the right replica is named and replaced`, async (context) => {
    await using spare = new Spare({
      folder: CONDUIT,
      command: ['node', 'server.mjs'],
      state: ['conduit.db'],
      faults: scenario.faults,
      variants: variantsOf(scenario),
    });
    await spare.start();
    const suite = conduitSuite(spare.url, DELAY_MS);
    let expected = scenario.expected ?? [];
    if (scenario.midway !== undefined) {
      await delay(MIDWAY_MS);
      expected = scenario.midway(await spare.activePids());
    }
    const { assertions, failures } = await suite;
    assert.deepEqual(failures, []);
    assert.equal(assertions, ASSERTIONS);
    for (const { id, kind } of expected)
      await spare.until(`${id} is named: ${kind}`, PATIENCE_MS, async () =>
        (await spare.incidents()).some((incident) => incident.replica === id && incident.kind === kind),
      );
    await spare.whole();
    for (const line of spare.output.match(/^repaired .*$/gm) ?? []) context.diagnostic(line);
    if (scenario.name === 'no fault') assert.deepEqual(await spare.incidents(), []);
    const { replicas } = await spare.status();
    for (const fault of expected)
      assert.ok(!replicas.some(({ id }) => id === fault.id), 'the faulty replica is gone');
  });
}
