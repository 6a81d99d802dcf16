/**
 * Does Conduit behind Spare pass its own suite in four virtual machines, too: while a machine is killed midway, and with one that
 * lies? Machines may be emulated, and slow: what is measured here is what comes, not when.
 */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Variant } from '../src/index.ts';
import { createQemuDriver } from '../src/domains/qemu/driver.ts';
import { conduitSuite } from './support/conduit-suite.ts';
import { CONDUIT, SERVICES, Spare } from './support/spare.ts';

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

/** Small, so that an emulated machine is up within seconds. */
function accounts(suspension: 'paused' | 'parked'): Spare {
  return new Spare({
    folder: SERVICES,
    command: ['node', 'accounts.mjs'],
    state: ['accounts.db'],
    hypervisor: 'qemu',
    suspension,
    limits: { memoryBytes: 256 * 1024 ** 2 },
  });
}

async function add(url: string): Promise<unknown> {
  return (await fetch(`${url}/accounts/a`, { method: 'POST', body: '1' })).json();
}

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

void test('P1 P5 P6: in machines: an active one killed midway: clients see nothing', options, async () => {
  await using spare = conduit([{}]);
  await spare.start(START_MS);
  assert.match(spare.output, /isolation: QEMU/);
  const suite = conduitSuite(spare.url, DELAY_MS);
  await delay(MIDWAY_MS);
  // On a busy host an emulated machine may be late; nothing else goes wrong before that.
  assert.ok((await spare.incidents()).every(({ kind }) => kind === 'late'));
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

void test(
  'P5 P6: parked machines take over when an active one is killed, with the state of all requests',
  options,
  async () => {
    await using spare = accounts('parked');
    await spare.start(START_MS);
    let passive: [number | null, number][] = [];
    // Parking takes a moment.
    await spare.until('nobody passive is a process', WHOLE_AGAIN_MS, async () => {
      const replicas = (await spare.status()).replicas.filter(({ role }) => role === 'passive');
      passive = replicas.map(({ pid, residentBytes }) => [pid, residentBytes]);
      return passive.every(([pid]) => pid === null);
    });
    assert.deepEqual(passive, [
      [null, 0],
      [null, 0],
    ]);
    for (let count = 1; count <= 20; count++)
      assert.deepEqual(await add(spare.url), { name: 'a', count, sum: count });
    const [victim] = await spare.activePids();
    assert.ok(victim !== undefined);
    process.kill(victim.pid, 'SIGKILL');
    for (let count = 21; count <= 40; count++)
      assert.deepEqual(await add(spare.url), { name: 'a', count, sum: count });
    await spare.whole(WHOLE_AGAIN_MS);
    const incidents = await spare.incidents();
    assert.ok(incidents.some(({ replica, kind }) => replica === victim.id && kind === 'crash'));
  },
);

/** In the middle of the file, where the service or its runtime is. */
function flipByte(path: string): void {
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  const at = 10_000_000;
  readSync(file, byte, 0, 1, at);
  writeSync(file, Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at);
  closeSync(file);
}

void test(
  'P6: an image that is changed on disk is an incident, no machine starts from it, and clients are served on',
  options,
  async () => {
    await using spare = accounts('paused');
    await spare.start(START_MS);
    const images = join(spare.data, 'images');
    const [name = ''] = readdirSync(images);
    flipByte(join(images, name, 'root'));
    const [victim] = await spare.activePids();
    assert.ok(victim !== undefined);
    process.kill(victim.pid, 'SIGKILL');
    await spare.until('the change is an incident', WHOLE_AGAIN_MS, async () =>
      (await spare.incidents()).some(
        ({ kind, what }) => kind === 'image' && what.includes('is not what was built'),
      ),
    );
    for (let count = 1; count <= 20; count++)
      assert.deepEqual(await add(spare.url), { name: 'a', count, sum: count });
    const { replicas } = await spare.status();
    assert.equal(replicas.filter(({ state }) => state === 'suspended').length, 0, 'no clean one comes');
    rmSync(join(images, name), { recursive: true });
    await spare.whole(START_MS);
    const kinds = (await spare.incidents()).map(({ kind }) => kind);
    assert.equal(kinds.filter((kind) => kind === 'image').length, 1, 'it was reported once');
  },
);
