/** The part of the conformance suite about what a domain may use (D6) and what is told about it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { eventually, longestWorkMs, MIB, type Register, SPAWN } from './conformance-peer.ts';

export function boundTests(promise: Register): void {
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
    const longest = await longestWorkMs(500);
    assert.ok(longest < 250, `busy for ${longest.toFixed(0)} ms`);
    assert.ok(process.memoryUsage().rss - before < 64 * MIB);
    assert.ok(peer.domain.console().length <= 64 * 1024);
    // One that is told to end may still write what it was about to.
    await peer.run(`await new Promise((resolve) => globalThis.flood.once('exit', resolve).kill('SIGKILL'));`);
    await peer.run(`console.log('the last word');`);
    assert.equal(await eventually(() => peer.domain.console().endsWith('the last word\n')), true);
  });

  promise('P7: where memory is short, the kernel ends a domain before its manager', async (peer) => {
    const weightOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'));
    await peer.run('return 0;');
    assert.equal(weightOf(peer.pid), Math.min(weightOf(process.pid) + 500, 1000));
  });

  promise('usage grows with the CPU time used, and keeps what ended processes have used', async (peer) => {
    await peer.run('return 0;');
    const first = await peer.domain.usage();
    assert.ok(first.processes >= 1 && first.residentBytes > MIB);
    await peer.run(
      `${SPAWN} const child = spawn(process.execPath, ['-e', 'while (process.cpuUsage().user < 3e5);']);
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
