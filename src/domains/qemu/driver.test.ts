/** The driver beyond what the conformance suite asks of all: booting takes long, and must not hold up an end. */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { isRequired } from '../../testing.ts';
import { CONFORMANCE_AGENT, eventually, MIB, openingOf, Site } from '../conformance-peer.ts';
import type { Driver } from '../domain.ts';
import { childrenOf, commandLine, isAlive } from '../process/tree.ts';
import type { Suspension } from './body.ts';
import { createQemuDriver } from './driver.ts';

const required = isRequired('qemu');
const BOOTING_MS = 500;
/** On a busy host a template may be saved before its agent runs, unless that has answered. */
const OPENED = { opening: openingOf('return "opened"', 'return "again"') };

/** With a driver, and a place for its domains, of its own. */
function driverTest(
  title: string,
  { suspension, timeout, init }: { suspension: Suspension; timeout: number; init?: string },
  body: (driver: Driver, site: Site, context: TestContext) => Promise<void>,
): void {
  void test(title, { timeout }, async (context) => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-driver-'));
    const options = { agent: CONFORMANCE_AGENT, folder: place.path, suspension };
    const own = init === undefined ? {} : { init };
    let driver: Driver;
    try {
      driver = await createQemuDriver({ ...options, ...own, progress: () => {} });
    } catch (error) {
      if (required) throw error;
      context.skip(String(error));
      return;
    }
    await using site = await Site.create(false);
    await body(driver, site, context);
  });
}

/** A QEMU of this process that boots, in a box or not, other than these, once there is one: clones are handed no kernel. */
async function machineBeside(...others: readonly number[]): Promise<number> {
  let found: number | undefined;
  const look = (): boolean => {
    const children = childrenOf(process.pid);
    const all = [...children, ...children.flatMap(childrenOf)];
    found = all.find((pid) => {
      const [program, ...args] = commandLine(pid);
      return program?.includes('qemu-system') && args.includes('-kernel') && !others.includes(pid);
    });
    return found !== undefined;
  };
  assert.equal(await eventually(look), true, 'a machine boots');
  return Number(found);
}

driverTest(
  'P5: a machine that ends while it boots is booted once more: all that are to be cloned from it would fail',
  { suspension: 'paused', timeout: 300_000 },
  async (driver, site) => {
    const starting = [site.start(driver), site.start(driver)];
    process.kill(await machineBeside(), 'SIGKILL');
    for (const started of starting) await (await started)[Symbol.asyncDispose]();
  },
);

driverTest(
  'D3: a machine that is being booted is given up at once',
  { suspension: 'paused', timeout: 300_000 },
  async (driver, site) => {
    const started = site.start(driver).then(
      () => 'started',
      (error: unknown) => String(error),
    );
    await delay(BOOTING_MS);
    driver.stop?.();
    assert.match(await started, /machine did not start/);
    await assert.rejects(site.start(driver), /machine did not start/);
  },
);

driverTest(
  'of a kernel that panics it is told why, not where in the kernel it was',
  { suspension: 'paused', timeout: 300_000, init: import.meta.filename },
  async (driver, site) => {
    await assert.rejects(
      site.start(driver),
      /switched off\..* Kernel panic - not syncing: No working init found/,
    );
  },
);

driverTest(
  'P6: an agent that ends, instead of answering its opening, has failed of that',
  { suspension: 'paused', timeout: 300_000 },
  async (driver, site) => {
    const opening = openingOf('process.exit(3)', '');
    await assert.rejects(site.start(driver, {}, { opening }), { code: 'service-start-failed' });
  },
);

driverTest(
  'a parked machine is no process and holds no memory, and goes on where it was',
  { suspension: 'parked', timeout: 300_000 },
  async (driver, site) => {
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

/** As many kinds of domains as there may be templates. */
const KINDS = 8;

driverTest(
  'a template that fails after it was forgotten does not make the driver forget its successor',
  { suspension: 'paused', timeout: 600_000 },
  async (driver, site) => {
    const first = site.start(driver, {}, OPENED).then(
      async (peer) => peer[Symbol.asyncDispose](),
      (error: unknown) => String(error),
    );
    const booting = await machineBeside();
    const others = Array.from({ length: KINDS }, (_, i) =>
      site.start(driver, { memoryBytes: (64 + i) * MIB }, { folder: '/nowhere' }),
    );
    for (const { status } of await Promise.allSettled(others)) assert.equal(status, 'rejected');
    const second = site.start(driver, {}, OPENED);
    const another = await machineBeside(booting);
    process.kill(booting, 'SIGKILL');
    // It is booted once more.
    process.kill(await machineBeside(booting, another), 'SIGKILL');
    assert.match(String(await first), /did not start/);
    await using peer = await second;
    await using later = await site.start(driver, {}, OPENED);
    assert.equal(await later.run(LAYOUT), await peer.run(LAYOUT));
  },
);

/** Where the agent's stack lies: the same in all clones of a template, and by chance in those of no other. */
const LAYOUT =
  "return /.*(?=\\[stack\\])/.exec(require('node:fs').readFileSync('/proc/self/maps', 'utf8'))[0];";
const LOOK_MS = 1000;

for (const { what, minutes, renew } of [
  { what: 'old', minutes: 7 * 60, renew: false },
  { what: 'a little old, and whose clones are outdated,', minutes: 11, renew: true },
]) {
  driverTest(
    `a template that is ${what} is made anew, and serves until its successor is there`,
    { suspension: 'paused', timeout: 600_000 },
    async (driver, site, context) => {
      const layoutOf = async (spec: { renew?: boolean } = {}): Promise<unknown> => {
        await using peer = await site.start(driver, {}, { ...OPENED, ...spec });
        return await peer.run(LAYOUT);
      };
      const first = await layoutOf();
      assert.equal(await layoutOf({ renew }), first);
      const now = performance.now.bind(performance);
      context.mock.method(performance, 'now', () => now() + minutes * 60_000);
      assert.equal(await layoutOf({ renew }), first);
      const layouts = new Set<unknown>();
      // Asked for again and again, and with pauses: it is made behind all that goes on here, and given up if that takes too long.
      while (layouts.size < 2) {
        await delay(LOOK_MS);
        layouts.add(await layoutOf({ renew }));
      }
      // What is new stays.
      const successor = [...layouts].at(-1);
      assert.deepEqual([await layoutOf({ renew }), await layoutOf()], [successor, successor]);
    },
  );
}
