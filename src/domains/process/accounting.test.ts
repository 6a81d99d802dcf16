import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { Accounting } from './accounting.ts';

const PATIENCE_MS = 60_000;

void it('A1: what a process used is kept when it vanishes without being waited for by the domain', async () => {
  const accounting = new Accounting(undefined);
  const child = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
  const pid = child.pid ?? 0;
  while (accounting.sample([pid]).cpuSeconds < 0.2) await delay(20);
  const before = accounting.usage.cpuSeconds;
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.deepEqual(accounting.sample([]), { cpuSeconds: before, residentBytes: 0, processes: 0 });
});

void it('A1: what a parent gained from waiting is not counted twice', async () => {
  const accounting = new Accounting(undefined);
  const busy = 'while (process.cpuUsage().user < 3e5);';
  const code = `const child = require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(busy)}]);
    console.log(child.pid); child.once('exit', () => console.log('waited')); setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [first] = (await once(parent.stdout, 'data')) as [Buffer];
  const pids = [parent.pid ?? 0, Number(first.toString())];
  while (accounting.sample(pids).processes === 2 && accounting.usage.cpuSeconds < 0.2) await delay(10);
  await once(parent.stdout, 'data');
  const after = accounting.sample([parent.pid ?? 0]).cpuSeconds;
  const alone = new Accounting(undefined).sample([parent.pid ?? 0]).cpuSeconds;
  parent.kill('SIGKILL');
  assert.ok(Math.abs(after - alone) < 0.03, `${after} s counted, ${alone} s used`);
});

void it('A2: what a child has of its parent until it runs a program of its own is told as long as it has hardly worked', async (context) => {
  const code = `kept=$(head -c 30000000 /dev/zero | tr '\\0' x)
    (read -r line <&3; while :; do :; done) & echo $!; wait`;
  const parent = spawn('/bin/sh', ['-c', code], {
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
    detached: true,
  });
  const [, output, , work] = parent.stdio as unknown as [null, Readable, null, Writable];
  context.after(() => process.kill(-(parent.pid ?? 0), 'SIGKILL'));
  const [first] = (await once(output, 'data')) as [Buffer];
  const pids = [parent.pid ?? 0, Number(first.toString())];
  const accounting = new Accounting(undefined);
  const alone = accounting.sample(pids.slice(0, 1)).residentBytes;
  const both = accounting.sample(pids).residentBytes;
  assert.ok(both > 60_000_000, `${both} bytes`);
  assert.ok(both - accounting.borrowedBytes < 1.1 * alone, `${accounting.borrowedBytes} bytes are borrowed`);
  accounting.sample(pids);
  assert.ok(both - accounting.borrowedBytes < 1.1 * alone, 'it has not worked since');
  work.end('work\n');
  const end = performance.now() + PATIENCE_MS;
  do {
    await delay(20);
    accounting.sample(pids);
  } while (accounting.borrowedBytes > 0 && performance.now() < end);
  assert.equal(accounting.borrowedBytes, 0);
});
