/** The driver beyond what the conformance suite asks of all: booting takes long, and must not hold up an end. */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { CONFORMANCE_AGENT, Site } from '../conformance-peer.ts';
import type { Driver } from '../domain.ts';
import { isAlive } from '../process/tree.ts';
import { createQemuDriver } from './driver.ts';

const required = (process.env['SPARE_REQUIRE'] ?? '').split(',').includes('qemu');
const BOOTING_MS = 500;

void test('D3: a machine that is being booted is given up at once', { timeout: 120_000 }, async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-driver-'));
  const suspension = 'paused';
  const options = {
    agent: CONFORMANCE_AGENT,
    folder: place.path,
    include: [],
    suspension,
    progress: () => {},
  } as const;
  let driver: Driver;
  try {
    driver = await createQemuDriver(options);
  } catch (error) {
    if (required) throw error;
    context.skip(String(error));
    return;
  }
  await using site = await Site.create(false);
  const started = site.start(driver).then(
    () => 'started',
    (error: unknown) => String(error),
  );
  await delay(BOOTING_MS);
  driver.stop?.();
  assert.match(await started, /machine did not start/);
  await assert.rejects(site.start(driver), /machine did not start/);
});

void test(
  'a parked machine is no process and holds no memory, and goes on where it was',
  { timeout: 120_000 },
  async (context) => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-driver-'));
    const suspension = 'parked';
    const options = {
      agent: CONFORMANCE_AGENT,
      folder: place.path,
      include: [],
      suspension,
      progress: () => {},
    } as const;
    let driver: Driver;
    try {
      driver = await createQemuDriver(options);
    } catch (error) {
      if (required) throw error;
      context.skip(String(error));
      return;
    }
    await using site = await Site.create(false);
    await using peer = await site.start(driver);
    await peer.run('globalThis.kept = argument;', 'kept');
    const before = await peer.domain.usage();
    const { pid } = peer;
    await peer.domain.suspend();
    assert.equal(peer.domain.pid, null);
    assert.equal(isAlive(pid), false);
    const parked = await peer.domain.usage();
    assert.deepEqual([parked.residentBytes, parked.processes], [0, 0]);
    assert.ok(before.residentBytes > 0 && parked.cpuSeconds >= before.cpuSeconds);
    await peer.domain.resume();
    assert.equal(await peer.run('return kept;'), 'kept');
    assert.ok((await peer.domain.usage()).cpuSeconds >= parked.cpuSeconds);
    await peer.domain.suspend();
    await peer.domain.destroy();
    assert.equal(await peer.domain.exited, 'destroyed');
  },
);
