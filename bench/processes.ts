/**
 * The processes that the benchmark starts: ended by their pid, whatever happens, and measured as trees, so that what
 * a mode starts itself counts as its own.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { childrenOf, readStat, TICKS_PER_SECOND } from '../src/domains/process/tree.ts';

const END_TIMEOUT_MS = 10_000;
const OUTPUT_MAX = 16 * 1024;

const started = new Set<ChildProcess>();
const outputs = new WeakMap<ChildProcess, string>();

function watch(child: ChildProcess): ChildProcess {
  started.add(child);
  const keep = (chunk: Buffer): void => {
    outputs.set(child, ((outputs.get(child) ?? '') + chunk.toString()).slice(-OUTPUT_MAX));
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  child.once('error', (error) => outputs.set(child, error.message));
  child.once('exit', () => started.delete(child));
  return child;
}

/** With the Node that runs here; in a process group of its own, so that Ctrl-C reaches this process only. */
export function startNode(
  args: readonly string[],
  options: { cwd: string; env: Readonly<Record<string, string>> },
): ChildProcess {
  return watch(
    spawn(process.execPath, args, {
      cwd: options.cwd,
      env: options.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    }),
  );
}

export function startFork(module: URL): ChildProcess {
  return watch(
    fork(module, [], {
      serialization: 'advanced',
      execArgv: [],
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    }),
  );
}

/** The last of what it printed. */
export function outputOf(child: ChildProcess): string {
  return outputs.get(child) ?? '';
}

/** The process itself first. */
function treeOf(pid: number): number[] {
  const pids = [pid];
  for (const at of pids) pids.push(...childrenOf(at));
  return pids;
}

export function killTree(pid: number): void {
  for (const each of treeOf(pid)) {
    try {
      process.kill(each, 'SIGKILL');
    } catch {
      // Gone already.
    }
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

/** Asks it to end, and ends its whole tree when it does not. */
export async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await Promise.race([exit, delay(END_TIMEOUT_MS, undefined, { ref: false })]);
  if (hasEnded(child) || child.pid === undefined) return;
  killTree(child.pid);
  await exit;
}

export async function endAll(): Promise<void> {
  await Promise.all([...started].map((child) => end(child)));
}

/** CPU seconds of a process and all below it, children that it waited for included. */
export function cpuSecondsOf(pid: number): number {
  let ticks = 0;
  for (const each of treeOf(pid)) {
    const stat = readStat(each);
    if (stat !== undefined) ticks += stat.ownTicks + stat.reapedTicks;
  }
  return ticks / TICKS_PER_SECOND;
}

/** Resident memory of the tree in bytes, what several processes share counted once (PSS). */
export function residentBytesOf(pid: number): number {
  let kibibytes = 0;
  for (const each of treeOf(pid)) {
    try {
      const text = readFileSync(`/proc/${each}/smaps_rollup`, 'utf8');
      kibibytes += Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0);
    } catch {
      // Gone meanwhile.
    }
  }
  return kibibytes * 1024;
}
