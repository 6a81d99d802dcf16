/** For tests of what happens when descriptors, the disk, rights, or the processor's time run out; and what tests may do without. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs, { closeSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const NOBODY = 65_534;

/** For root every file is readable. */
export function withoutRights(): Disposable {
  const { geteuid, seteuid } = process;
  if (geteuid?.() !== 0) return { [Symbol.dispose]: () => {} };
  seteuid?.(NOBODY);
  return { [Symbol.dispose]: () => seteuid?.(0) };
}

/** As where all processors are somebody else's: nothing in this thread goes on meanwhile. */
export function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Above what a test has open itself. */
const LIMIT = 512;

/** Runs `body` while this process can open `free` descriptors more. */
export async function withDescriptors<T>(free: number, body: () => Promise<T>): Promise<T> {
  const pid = String(process.pid);
  execFileSync('prlimit', ['--pid', pid, `--nofile=${LIMIT}:`]);
  const taken = takeAll();
  for (const fd of taken.splice(-free, free)) closeSync(fd);
  try {
    return await body();
  } finally {
    for (const fd of taken) closeSync(fd);
  }
}

function takeAll(): number[] {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    return taken;
  }
}

/** The one that lists them included. */
export function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Of those that are in use. */
export function bytesInBuffers(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().arrayBuffers;
}

/** What this module prints, run where no file may grow beyond so many bytes: that stands for a disk that is full. */
export function onFullDisk(bytes: number, script: string): string {
  const args = [`--fsize=${bytes}`, process.execPath, '--input-type=module', '--eval', script];
  const { status, stdout, stderr } = spawnSync('prlimit', args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
}

/** What was mocked of `node:fs` takes effect, until the test is done. */
export function untilDone(context: TestContext): void {
  syncBuiltinESMExports();
  context.after(() => {
    context.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

/** Has `told` hear of each file that is made durable. */
export function onSync(context: TestContext, told: (path: string) => void): void {
  const { fsyncSync } = fs;
  context.mock.method(fs, 'fsyncSync', (fd: number) => {
    fsyncSync(fd);
    told(fs.readlinkSync(`/proc/self/fd/${fd}`));
  });
  untilDone(context);
}

/** From now on all disks are full, as far as they say. */
export function fillDisk(context: TestContext): void {
  const real = fs.statfsSync('/');
  context.mock.method(fs, 'statfsSync', () => Object.assign(real, { bavail: 0 }));
  untilDone(context);
}

/** Until the test is done, `name` is this shell script, in `folder`, for whoever looks for a program of that name. */
export function replaceTool(context: TestContext, folder: string, name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const { PATH } = process.env;
  process.env['PATH'] = `${folder}${delimiter}${PATH}`;
  context.after(() => (process.env['PATH'] = PATH));
}

/** Whether a test that needs this tool fails where it is missing, and is not skipped: `SPARE_REQUIRE` names some, as in `qemu,bubblewrap`. */
export function isRequired(tool: 'bubblewrap' | 'qemu'): boolean {
  return (process.env['SPARE_REQUIRE'] ?? '').split(',').includes(tool);
}
