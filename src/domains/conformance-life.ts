/** The part of the conformance suite about a domain's life: its channel, suspension (D2) and end (D3, D4). */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { DAEMON, eventually, MIB, newMarker, type Peer, type Register, SPAWN } from './conformance-peer.ts';

/** Spins in a process of its own and writes how far it got to a file every now and then. */
const BUSY = `${SPAWN}
  const code = "const fs = require('fs'); let n = 0; for (;;) { n += 1; if (n % 1e6 === 0) fs.writeFileSync('count', String(n)); }";
  spawn(process.execPath, ['-e', code], { stdio: 'ignore' });`;
const COUNT = `try { return Number(require('node:fs').readFileSync('count', 'utf8')); } catch { return 0; }`;

export function lifeTests(promise: Register, sharesKernel: boolean): void {
  channelTests(promise);
  suspensionTests(promise);
  if (sharesKernel) strayTests(promise);
  endTests(promise);
}

function channelTests(promise: Register): void {
  promise('the channel carries 8 MiB in both directions unchanged', async (peer) => {
    const text = 'abcdefg\n'.repeat(MIB);
    assert.equal(await peer.run('return argument;', text), text);
  });

  promise('a write to the channel of a dead domain is no unhandled error', async (peer) => {
    process.kill(peer.pid, 'SIGKILL');
    for (let i = 0; i < 20; i += 1) {
      peer.domain.channel.write('x'.repeat(1000));
      await delay(5);
    }
    await peer.domain.exited;
    peer.domain.channel.write('x');
    await delay(20);
  });
}

function suspensionTests(promise: Register): void {
  promise('D2: a suspended domain uses no CPU, though a process of it spins', async (peer) => {
    await peer.run(BUSY);
    await untilCounting(peer);
    await peer.domain.suspend();
    assert.ok(await rests(peer, 300));
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

  promise('D2: what is on its way, to it or from it, when it is suspended is not lost', async (peer) => {
    for (const ms of [0, 2, 10, 50]) {
      const text = `${ms}`.repeat(MIB);
      const answer = peer.run('return argument;', text);
      await delay(ms);
      await peer.domain.suspend();
      await delay(20);
      await peer.domain.resume();
      assert.equal(await answer, text);
    }
  });

  promise('D2: a domain that forks all the time is stopped as a whole', async (peer) => {
    await peer.run(
      `${SPAWN} spawn('sh', ['-c', 'while :; do sh -c "echo >> forks; sleep 0.01 & "; done'], { stdio: 'ignore' });`,
    );
    const size = `try { return require('node:fs').statSync('forks').size; } catch { return 0; }`;
    while (Number(await peer.run(size)) < 10) await delay(10);
    for (let round = 0; round < 10; round += 1) {
      await peer.domain.suspend();
      assert.ok(await rests(peer, 50));
      await peer.domain.resume();
      await delay(20);
    }
  });
}

/** Where the host sees the domain's processes, each of them must be found. */
function strayTests(promise: Register): void {
  promise(
    'D2: a process that left its parent and session is stopped and killed with the rest',
    async (peer) => {
      const marker = newMarker();
      await peer.run(DAEMON, marker);
      assert.equal(await eventually(() => peer.seen(marker).length === 1), true, 'the daemon runs');
      await peer.domain.suspend();
      for (const pid of peer.seen(marker)) assert.match(stateOf(pid), /[Tt]/);
      await peer.domain.resume();
      for (const pid of peer.seen(marker)) assert.match(stateOf(pid), /[SR]/);
      await peer.domain.destroy();
      assert.deepEqual(peer.seen(marker), []);
    },
  );
}

/** Through `/proc`, for a process found by its marker. */
function stateOf(pid: number): string {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] ?? '';
}

async function untilCounting(peer: Peer): Promise<void> {
  while (Number(await peer.run(COUNT)) === 0) await delay(10);
}

async function eventuallyCount(peer: Peer, beyond: number): Promise<boolean> {
  for (let i = 0; i < 1000; i += 1) {
    if (Number(await peer.run(COUNT)) > beyond) return true;
    await delay(20);
  }
  return false;
}

/**
 * Whether a suspended domain uses nothing for so long, and has no more processes then: soon, for on a busy host a hypervisor
 * may have to wait for a moment in which it tidies up. Fewer processes are fine: what the first one of a domain still reaps.
 */
async function rests(peer: Peer, ms: number): Promise<boolean> {
  for (let i = 0; i < 10; i += 1) {
    const first = await peer.domain.usage();
    await delay(ms);
    const second = await peer.domain.usage();
    if (second.cpuSeconds === first.cpuSeconds && second.processes <= first.processes) return true;
  }
  return false;
}

function endTests(promise: Register): void {
  promise(
    'D3: destroy ends a running domain and removes its files; a second call does nothing',
    async (peer) => {
      const marker = newMarker();
      await peer.run(`${SPAWN} spawn('sleep', [argument], { stdio: 'ignore' });`, marker);
      await peer.run(`require('node:fs').mkdirSync('a/b', { recursive: true, mode: 0 });`).catch(() => {});
      await Promise.all([peer.domain.destroy(), peer.domain.destroy()]);
      await peer.domain.destroy();
      assert.deepEqual(peer.seen(marker), []);
      assert.equal(existsSync(peer.directory), false);
      assert.equal(await peer.domain.exited, 'destroyed');
    },
  );

  promise('D3: destroy ends a suspended domain', async (peer) => {
    const marker = newMarker();
    await peer.run(`${SPAWN} spawn('sleep', [argument], { stdio: 'ignore' });`, marker);
    await peer.domain.suspend();
    await peer.domain.destroy();
    assert.deepEqual(peer.seen(marker), []);
    assert.equal(existsSync(peer.directory), false);
  });

  promise(
    'D3: destroy works on a domain that has just started, and on a dead one',
    async (peer, site, driver) => {
      const fresh = await site.start(driver);
      await fresh.domain.destroy();
      assert.equal(existsSync(fresh.directory), false);
      process.kill(peer.pid, 'SIGKILL');
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
    assert.equal(await eventually(() => peer.seen(marker).length === 1), true, 'the daemon runs');
    process.kill(peer.pid, 'SIGKILL');
    assert.equal(await peer.domain.exited, 'killed by SIGKILL');
    assert.deepEqual(peer.seen(marker), []);
  });

  promise('D4: a domain killed while suspended is gone as well', async (peer) => {
    await peer.domain.suspend();
    // Parked: there is nothing to be killed.
    if (peer.domain.pid === null) return;
    process.kill(peer.pid, 'SIGKILL');
    assert.equal(await peer.domain.exited, 'killed by SIGKILL');
  });
}
