/**
 * What every driver must do, as tests: D1 to D6 of `domain.ts`, each cited by the tests that enforce it. A driver's
 * own test file calls `conformance` and nothing else; the file is also run again as the manager that gets killed.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';

import { boundTests } from './conformance-bounds.ts';
import { isolationTests } from './conformance-isolation.ts';
import { lifeTests } from './conformance-life.ts';
import {
  CONFORMANCE_AGENT,
  DAEMON,
  eventually,
  newMarker,
  type Register,
  Site,
  findTrace,
} from './conformance-peer.ts';
import type { Driver } from './domain.ts';

export interface ConformanceOptions {
  /** Whether all of D1 is tested; otherwise only D2 to D6. */
  readonly isolated: boolean;
  /** A driver that this host does not offer fails the tests instead of skipping them. */
  readonly required?: boolean;
  /** Whether its domains' processes are processes of the host; those of a virtual machine are not. */
  readonly sharesKernel: boolean;
  /** The longest that a test may take, the start of its domain included. */
  readonly testMs?: number;
}

const MANAGER = 'SPARE_CONFORMANCE_MANAGER';

/**
 * Registers the tests for one driver. `makeDriver` is given the agent's entry file, and throws when the host does
 * not offer what the driver needs.
 */
export function conformance(
  name: string,
  makeDriver: (agent: string) => Promise<Driver>,
  options: ConformanceOptions,
): void {
  const role = process.env[MANAGER];
  if (role !== undefined) {
    if (role === name) void manage(makeDriver, options.sharesKernel);
    return;
  }
  void describe(`conformance of ${name}`, { concurrency: 2 }, () => {
    let driver: Driver | undefined;
    let missing = '';
    let site: Site | undefined;
    before(async () => {
      // One for all tests: nothing in a domain can change it, which is one of them.
      site = await Site.create(options.sharesKernel);
      try {
        driver = await makeDriver(CONFORMANCE_AGENT);
      } catch (error) {
        if (options.required === true) throw error;
        missing = String(error);
      }
    });
    after(() => site?.[Symbol.asyncDispose]());
    /** A test with a domain of its own. */
    const promise: Register = (title, body) => {
      void it(title, { timeout: options.testMs ?? 120_000 }, async (context) => {
        if (driver === undefined || site === undefined) {
          context.skip(missing);
          return;
        }
        await using peer = await site.start(driver);
        await body(peer, site, driver);
      });
    };
    lifeTests(promise, options.sharesKernel);
    boundTests(promise);
    managerTests(name, promise);
    if (options.isolated) isolationTests(promise);
  });
}

function managerTests(name: string, promise: Register): void {
  promise('D5: when the manager is killed, running and suspended domains are gone', async () => {
    const manager = spawn(process.execPath, [process.argv[1] ?? ''], {
      env: { ...process.env, [MANAGER]: name, NODE_TEST_CONTEXT: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface(manager.stdout), 'line')) as [string];
    const { traces, folder } = JSON.parse(line) as {
      traces: (string | number)[];
      folder: string;
    };
    try {
      // Who started it may still be there.
      for (const trace of traces) assert.ok(findTrace(trace).length > 0, 'the daemon runs');
      manager.kill('SIGKILL');
      await once(manager, 'exit');
      const isGone = (): boolean => traces.every((trace) => findTrace(trace).length === 0);
      assert.equal(await eventually(isGone), true, 'something is left');
    } finally {
      manager.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
    }
  });
}

/** The manager that is killed: two domains with a daemon each, one of them suspended; prints a line when ready. */
async function manage(makeDriver: (agent: string) => Promise<Driver>, sharesKernel: boolean): Promise<void> {
  const driver = await makeDriver(CONFORMANCE_AGENT);
  const site = await Site.create(sharesKernel);
  const traces: (string | number)[] = [];
  for (const suspended of [false, true]) {
    const peer = await site.start(driver);
    const marker = newMarker();
    await peer.run(DAEMON, marker);
    await eventually(() => peer.seen(marker).length === 1);
    if (suspended) await peer.domain.suspend();
    const trace = sharesKernel ? marker : peer.domain.pid;
    // A parked one leaves nothing that could stay.
    if (trace !== null) traces.push(trace);
  }
  process.stdout.write(`${JSON.stringify({ traces, folder: site.base })}\n`);
}
