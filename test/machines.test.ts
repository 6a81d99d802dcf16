/**
 * Does Conduit behind Spare pass its own suite in four virtual machines, too: without a fault, while a machine is killed,
 * and with one that lies? Machines may be emulated, and slow: what is measured here is what comes, not when.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Variant } from '../src/index.ts';
import { createQemuDriver } from '../src/domains/qemu/driver.ts';
import { conduitSuite } from './support/conduit-suite.ts';
import { CONDUIT, Spare } from './support/spare.ts';

const required = (process.env['SPARE_REQUIRE'] ?? '').split(',').includes('qemu');
const PASSED = { assertions: 311, failures: [] };
const MIDWAY_MS = 1000;
/** An emulated Node needs most of a minute of CPU time to load this service. */
const START_MS = 480_000;
const WHOLE_AGAIN_MS = 60_000;
const DELAY_MS = 60;

/** Why there can be no machines here, or nothing. */
const missing = await createQemuDriver({
  folder: '',
  include: [],
  progress: () => {},
  suspension: 'paused',
}).then(() => '', String);
const options = { timeout: 900_000, skip: missing !== '' && !required && missing };

function conduit(variants: readonly Variant[]): Spare {
  return new Spare({
    folder: CONDUIT,
    command: ['node', 'server.mjs'],
    state: ['conduit.db'],
    hypervisor: 'qemu',
    limits: { memoryBytes: 512 * 1024 ** 2 },
    variants,
  });
}

void test('P1 P5 P6: in machines: no fault', options, async () => {
  await using spare = conduit([{}]);
  await spare.start(START_MS);
  assert.match(spare.output, /isolation: QEMU/);
  assert.deepEqual(await conduitSuite(spare.url), PASSED);
  // On a busy host an emulated machine may be late; nothing else went wrong.
  assert.ok((await spare.incidents()).every(({ kind }) => kind === 'late'));
});

void test('P1 P5 P6: in machines: an active one killed midway: clients see nothing', options, async () => {
  await using spare = conduit([{}]);
  await spare.start(START_MS);
  const suite = conduitSuite(spare.url, DELAY_MS);
  await delay(MIDWAY_MS);
  const [victim] = await spare.activePids();
  assert.ok(victim !== undefined);
  process.kill(victim.pid, 'SIGKILL');
  assert.deepEqual(await suite, PASSED);
  await spare.whole(WHOLE_AGAIN_MS);
  const incidents = await spare.incidents();
  assert.ok(incidents.some(({ replica, kind }) => replica === victim.id && kind === 'crash'));
});

void test('P1 P5 P6: in machines: one that alters replies: clients see nothing', options, async () => {
  await using spare = conduit([{}, { command: ['node', 'faulty-reply.mjs'] }, {}, {}]);
  await spare.start(START_MS);
  assert.deepEqual(await conduitSuite(spare.url), PASSED);
  await spare.whole(WHOLE_AGAIN_MS);
  const incidents = await spare.incidents();
  assert.ok(incidents.some(({ replica, kind }) => replica === 'r1' && kind === 'reply'));
});
