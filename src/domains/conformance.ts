/**
 * What every driver must do, as tests: D1 to D6 of `domain.ts`, each cited by the tests that enforce it. A driver's
 * own test file calls `conformance` and nothing else; the file is also run again as the manager that gets killed.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { CONFORMANCE_AGENT, eventually, findMarked, newMarker, type Peer, Site } from './conformance-peer.ts';
import { isolationTests } from './conformance-isolation.ts';
import type { Driver } from './domain.ts';

export interface ConformanceOptions {
  /** Whether the driver promises all of D1; without it only D2 to D6 are tested. */
  readonly isolated: boolean;
  /** A driver that this host does not offer fails the tests instead of skipping them. */
  readonly required?: boolean;
}

const MIB = 1024 * 1024;
const MANAGER = 'SPARE_CONFORMANCE_MANAGER';
const SPAWN = `const { spawn } = require('node:child_process');`;
/** Spins in a process of its own and writes how far it got to a file every now and then. */
const BUSY = `${SPAWN}
  const code = "const fs = require('fs'); let n = 0; for (;;) { n += 1; if (n % 1e6 === 0) fs.writeFileSync('count', String(n)); }";
  spawn(process.execPath, ['-e', code], { stdio: 'ignore' });`;
const COUNT = `try { return Number(require('node:fs').readFileSync('count', 'utf8')); } catch { return 0; }`;
/** A process that left its parent and its session behind; \`argument\` is the time it sleeps. */
const DAEMON = `${SPAWN}
  const code = "require('child_process').spawn('sleep', [process.argv[1]], { detached: true, stdio: 'ignore' }).unref()";
  spawn(process.execPath, ['-e', code, argument], { detached: true, stdio: 'ignore' });`;

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
    if (role === name) void manage(makeDriver);
    return;
  }
  void describe(`conformance of ${name}`, { concurrency: 2 }, () => {
    let driver: Driver | undefined;
    let missing = '';
    before(async () => {
      try {
        driver = await makeDriver(CONFORMANCE_AGENT);
      } catch (error) {
        if (options.required === true) throw error;
        missing = String(error);
      }
    });
    /** A test with a domain of its own. */
    const promise: Promise_ = (title, body) => {
      void it(title, { timeout: 30_000 }, async (context) => {
        if (driver === undefined) {
          context.skip(missing);
          return;
        }
        await using site = await Site.create();
        await using peer = await site.start(driver);
        await body(peer, site, driver);
      });
    };
    channelTests(promise);
    suspensionTests(promise);
    endTests(promise);
    boundTests(promise);
    managerTests(name, promise);
    if (options.isolated) isolationTests(promise);
  });
}

/** Registers one test; its domain is destroyed afterwards. */
export type Promise_ = (
  title: string,
  body: (peer: Peer, site: Site, driver: Driver) => Promise<void>,
) => void;

function channelTests(promise: Promise_): void {
  promise('the channel carries 8 MiB in both directions unchanged', async (peer) => {
    const text = 'abcdefg\n'.repeat(MIB);
    assert.equal(await peer.run('return argument;', text), text);
  });

  promise('a write to the channel of a dead domain is no unhandled error', async (peer) => {
    process.kill(peer.domain.pid, 'SIGKILL');
    for (let i = 0; i < 20; i += 1) {
      peer.domain.channel.write('x'.repeat(1000));
      await delay(5);
    }
    await peer.domain.exited;
    peer.domain.channel.write('x');
    await delay(20);
  });
}

function suspensionTests(promise: Promise_): void {
  promise('D2: a suspended domain uses no CPU, though a process of it spins', async (peer) => {
    await peer.run(BUSY);
    await untilCounting(peer);
    await peer.domain.suspend();
    const first = await peer.domain.usage();
    await delay(300);
    const second = await peer.domain.usage();
    assert.equal(second.cpuSeconds, first.cpuSeconds);
    await peer.domain.resume();
    const count = Number(await peer.run(COUNT));
    assert.equal(await eventuallyCount(peer, count), true);
  });

  promise('D2: what is written to a suspended domain is read after it is resumed', async (peer) => {
    await peer.domain.suspend();
    let answered = false;
    const answer = peer.run('return argument;', 'kept'.repeat(MIB)).then((value) => {
      answered = true;
      return value;
    });
    await delay(100);
    assert.equal(answered, false);
    await peer.domain.resume();
    assert.equal(await answer, 'kept'.repeat(MIB));
  });

  promise(
    'D2: a process that left its parent and session is stopped and killed with the rest',
    async (peer) => {
      const marker = newMarker();
      await peer.run(DAEMON, marker);
      assert.equal(await eventually(() => findMarked(marker).length === 1), true, 'the daemon runs');
      await peer.domain.suspend();
      for (const pid of findMarked(marker)) assert.match(stateOf(pid), /[Tt]/);
      await peer.domain.resume();
      for (const pid of findMarked(marker)) assert.match(stateOf(pid), /[SR]/);
      await peer.domain.destroy();
      assert.deepEqual(findMarked(marker), []);
    },
  );

  promise('D2: a domain that forks all the time is stopped as a whole', async (peer) => {
    await peer.run(
      `${SPAWN} spawn('sh', ['-c', 'while :; do sh -c "echo >> forks; sleep 0.01 & "; done'], { stdio: 'ignore' });`,
    );
    const size = `try { return require('node:fs').statSync('forks').size; } catch { return 0; }`;
    while (Number(await peer.run(size)) < 10) await delay(10);
    for (let round = 0; round < 10; round += 1) {
      await peer.domain.suspend();
      const first = await peer.domain.usage();
      await delay(50);
      assert.deepEqual(await peer.domain.usage(), first);
      await peer.domain.resume();
      await delay(20);
    }
  });
}

/** Through \`/proc\`, for a process found by its marker. */
function stateOf(pid: number): string {
  return (
    process.getBuiltinModule('node:fs').readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] ?? ''
  );
}

async function untilCounting(peer: Peer): Promise<void> {
  while (Number(await peer.run(COUNT)) === 0) await delay(10);
}

async function eventuallyCount(peer: Peer, beyond: number): Promise<boolean> {
  for (let i = 0; i < 100; i += 1) {
    if (Number(await peer.run(COUNT)) > beyond) return true;
    await delay(20);
  }
  return false;
}

function endTests(promise: Promise_): void {
  promise(
    'D3: destroy ends a running domain and removes its files; a second call does nothing',
    async (peer) => {
      const marker = newMarker();
      await peer.run(`${SPAWN} spawn('sleep', [argument], { stdio: 'ignore' });`, marker);
      await peer.run(`require('node:fs').mkdirSync('a/b', { recursive: true, mode: 0 });`).catch(() => {});
      await Promise.all([peer.domain.destroy(), peer.domain.destroy()]);
      await peer.domain.destroy();
      assert.deepEqual(findMarked(marker), []);
      assert.equal(existsSync(peer.directory), false);
      assert.equal(await peer.domain.exited, 'destroyed');
    },
  );

  promise('D3: destroy ends a suspended domain', async (peer) => {
    const marker = newMarker();
    await peer.run(`${SPAWN} spawn('sleep', [argument], { stdio: 'ignore' });`, marker);
    await peer.domain.suspend();
    await peer.domain.destroy();
    assert.deepEqual(findMarked(marker), []);
    assert.equal(existsSync(peer.directory), false);
  });

  promise(
    'D3: destroy works on a domain that has just started, and on a dead one',
    async (peer, site, driver) => {
      const fresh = await site.start(driver);
      await fresh.domain.destroy();
      assert.equal(existsSync(fresh.directory), false);
      process.kill(peer.domain.pid, 'SIGKILL');
      await peer.domain.exited;
      await peer.domain.suspend();
      await peer.domain.resume();
      await peer.domain.destroy();
      assert.equal(existsSync(peer.directory), false);
    },
  );

  promise('D4: exited tells the status that the agent ended with', async (peer) => {
    void peer.run('process.exit(3)');
    assert.equal(await peer.domain.exited, 'exit status 3');
  });

  promise('D4: exited tells that the agent was killed, and nothing of the domain is left', async (peer) => {
    const marker = newMarker();
    await peer.run(DAEMON, marker);
    assert.equal(await eventually(() => findMarked(marker).length === 1), true, 'the daemon runs');
    process.kill(peer.domain.pid, 'SIGKILL');
    assert.equal(await peer.domain.exited, 'killed by SIGKILL');
    assert.deepEqual(findMarked(marker), []);
  });

  promise('D4: a domain killed while suspended is gone as well', async (peer) => {
    await peer.domain.suspend();
    process.kill(peer.domain.pid, 'SIGKILL');
    assert.equal(await peer.domain.exited, 'killed by SIGKILL');
  });
}

function boundTests(promise: Promise_): void {
  promise('D6: a domain above its memory limit is ended and says so', async (peer) => {
    void peer.run(
      `globalThis.kept = []; setInterval(() => globalThis.kept.push(Buffer.alloc(8 * 1024 * 1024, 1)), 10);`,
    );
    assert.equal(await peer.domain.exited, 'memory limit (256 MiB) exceeded');
  });

  promise('D6: a domain with too many processes is ended and says so', async (peer) => {
    void peer.run(`${SPAWN} for (let i = 0; i < 60; i += 1) spawn('sleep', ['60'], { stdio: 'ignore' });`);
    assert.equal(await peer.domain.exited, 'process limit (32) exceeded');
  });

  promise('D6: a flood of output neither blocks nor fills the manager, and its end is kept', async (peer) => {
    const before = process.memoryUsage().rss;
    await peer.run(`${SPAWN} globalThis.flood = spawn('yes', ['x'.repeat(100)], { stdio: 'inherit' });`);
    let longest = 0;
    for (const until = performance.now() + 500; performance.now() < until;) {
      const start = performance.now();
      await delay(5);
      longest = Math.max(longest, performance.now() - start);
    }
    assert.ok(longest < 250, `blocked for ${longest.toFixed(0)} ms`);
    assert.ok(process.memoryUsage().rss - before < 64 * MIB);
    assert.ok(peer.domain.console().length <= 64 * 1024);
    await peer.run(`globalThis.flood.kill('SIGKILL');`);
    await peer.run(`console.error('the last word');`);
    assert.equal(await eventually(() => peer.domain.console().endsWith('the last word\n')), true);
  });

  promise('usage grows with the CPU time used, and keeps what ended processes have used', async (peer) => {
    await peer.run('return 0;');
    const first = await peer.domain.usage();
    assert.ok(first.processes >= 1 && first.residentBytes > MIB);
    await peer.run(
      `${SPAWN} const child = spawn(process.execPath, ['-e', 'const end = Date.now() + 300; while (Date.now() < end);']);
       await new Promise((resolve) => child.once('exit', resolve));`,
    );
    let last = first.cpuSeconds;
    for (let i = 0; i < 10; i += 1) {
      const { cpuSeconds } = await peer.domain.usage();
      assert.ok(cpuSeconds >= last);
      last = cpuSeconds;
    }
    assert.ok(last - first.cpuSeconds > 0.1, `${last - first.cpuSeconds} s`);
  });
}

function managerTests(name: string, promise: Promise_): void {
  promise('D5: when the manager is killed, running and suspended domains are gone', async () => {
    const manager = spawn(process.execPath, [process.argv[1] ?? ''], {
      env: { ...process.env, [MANAGER]: name, NODE_TEST_CONTEXT: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface(manager.stdout), 'line')) as [string];
    const { markers, folder } = JSON.parse(line) as { markers: string[]; folder: string };
    try {
      for (const marker of markers) assert.equal(findMarked(marker).length, 1, 'the daemon runs');
      manager.kill('SIGKILL');
      await once(manager, 'exit');
      const isGone = (): boolean => markers.every((marker) => findMarked(marker).length === 0);
      assert.equal(await eventually(isGone), true, 'something is left');
    } finally {
      manager.kill('SIGKILL');
      await process.getBuiltinModule('node:fs/promises').rm(folder, { recursive: true, force: true });
    }
  });
}

/** The manager that is killed: two domains with a daemon each, one of them suspended; prints a line when ready. */
async function manage(makeDriver: (agent: string) => Promise<Driver>): Promise<void> {
  const driver = await makeDriver(CONFORMANCE_AGENT);
  const site = await Site.create();
  const markers: string[] = [];
  for (const suspended of [false, true]) {
    const peer = await site.start(driver);
    const marker = newMarker();
    markers.push(marker);
    await peer.run(DAEMON, marker);
    await eventually(() => findMarked(marker).length === 1);
    if (suspended) await peer.domain.suspend();
  }
  process.stdout.write(`${JSON.stringify({ markers, folder: site.base })}\n`);
}
