/**
 * Does Conduit behind Spare pass its own suite in four virtual machines, too: with one that lies, and while another is killed
 * midway? Machines may be emulated, and slow: what is measured here is what comes, not when.
 */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { conduitSuite } from './support/conduit-suite.ts';
import { MACHINES, MACHINES_START_MS } from './support/machines.ts';
import { CONDUIT, PATIENCE_MS, SERVICES, Spare } from './support/spare.ts';

const PASSED = { assertions: 311, failures: [] };
/** Between the suite's 32 requests: the fifth shows the lie, and the group is whole again long before the last. */
const DELAY_MS = 2000;

async function add(url: string): Promise<unknown> {
  return (await fetch(`${url}/accounts/a`, { method: 'POST', body: '1' })).json();
}

void test(
  'P1 P5 P6: in machines: one that alters replies, and an active one killed midway: clients see nothing',
  MACHINES,
  async () => {
    await using spare = new Spare({
      folder: CONDUIT,
      command: ['node', 'server.mjs'],
      state: ['conduit.db'],
      hypervisor: 'qemu',
      limits: { memoryBytes: 512 * 1024 ** 2 },
      variants: [{}, { command: ['node', 'faulty-reply.mjs'] }, {}, {}],
    });
    await spare.start(MACHINES_START_MS);
    assert.match(spare.output, /isolation: QEMU/);
    let atWork = true;
    const suite = conduitSuite(spare.url, DELAY_MS).finally(() => (atWork = false));
    const isNamed = async (id: string, kind: string): Promise<boolean> =>
      (await spare.incidents()).some((incident) => incident.replica === id && incident.kind === kind);
    await spare.until('the lie is an incident', PATIENCE_MS, () => isNamed('r1', 'reply'));
    await spare.whole();
    const victim = await spare.victim();
    process.kill(victim.pid, 'SIGKILL');
    assert.ok(atWork, 'it was killed midway');
    await spare.until('the crash is an incident', PATIENCE_MS, () => isNamed(victim.id, 'crash'));
    assert.deepEqual(await suite, PASSED);
    await spare.whole();
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

void describe('a service in parked machines', MACHINES, () => {
  /** Small, so that an emulated machine is up within seconds. One group: most of a test would be its start. */
  const spare = new Spare({
    folder: SERVICES,
    command: ['node', 'accounts.mjs'],
    state: ['accounts.db'],
    hypervisor: 'qemu',
    suspension: 'parked',
    limits: { memoryBytes: 256 * 1024 ** 2 },
  });
  before(() => spare.start(MACHINES_START_MS));
  after(() => spare[Symbol.asyncDispose]());

  async function addUpTo(last: number): Promise<void> {
    for (let count = last - 19; count <= last; count++)
      assert.deepEqual(await add(spare.url), { name: 'a', count, sum: count });
  }

  void test('P5 P6: they take over when an active one is killed, with the state of all requests', async () => {
    let passive: [number | null, number][] = [];
    // Parking takes a moment.
    await spare.until('nobody passive is a process', PATIENCE_MS, async () => {
      const replicas = (await spare.status()).replicas.filter(({ role }) => role === 'passive');
      passive = replicas.map(({ pid, residentBytes }) => [pid, residentBytes]);
      return passive.every(([pid]) => pid === null);
    });
    assert.deepEqual(passive, [
      [null, 0],
      [null, 0],
    ]);
    await addUpTo(20);
    const victim = await spare.victim();
    process.kill(victim.pid, 'SIGKILL');
    await addUpTo(40);
    await spare.whole();
    const incidents = await spare.incidents();
    assert.ok(incidents.some(({ replica, kind }) => replica === victim.id && kind === 'crash'));
  });

  void test('P6: an image that is changed on disk is an incident, no machine starts from it, and clients are served on', async () => {
    const images = join(spare.data, 'images');
    const [name = ''] = readdirSync(images);
    flipByte(join(images, name, 'root'));
    const victim = await spare.victim();
    process.kill(victim.pid, 'SIGKILL');
    await spare.until('the change is an incident', PATIENCE_MS, async () =>
      (await spare.incidents()).some(
        ({ kind, what }) => kind === 'image' && what.includes('is not what was built'),
      ),
    );
    await addUpTo(60);
    const { replicas } = await spare.status();
    assert.equal(replicas.filter(({ state }) => state === 'suspended').length, 0, 'no clean one comes');
    rmSync(join(images, name), { recursive: true });
    await spare.whole(MACHINES_START_MS);
    const kinds = (await spare.incidents()).map(({ kind }) => kind);
    assert.equal(kinds.filter((kind) => kind === 'image').length, 1, 'it was reported once');
  });
});
