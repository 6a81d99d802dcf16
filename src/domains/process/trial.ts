/**
 * Tries a program, because one that is installed may still be forbidden to work. What cannot be tried, or not in time, is thrown: that
 * says nothing about whether it works.
 */
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

import { spawnPiped } from '../../spawn.ts';

const VERSION_MS_MAX = 10_000;
const NO_PROCESS_LEFT = 'EAGAIN';

export interface Trial {
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** What it has from descriptor 3 on; `send` writes what it reads there. */
  readonly stdio: readonly ('ignore' | 'pipe')[];
  readonly send: (child: ChildProcess) => void;
}

/** What it said to stdout, or why it did not end well. */
async function run(
  [file = '', ...args]: readonly string[],
  { env, timeoutMs, stdio, send }: Trial,
): Promise<{ readonly said: string } | { readonly failure: string }> {
  const child = spawnPiped(file, args, {
    env,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe', ...stdio],
    detached: true,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  send(child);
  const said = text(child.stdout as Readable).catch(() => '');
  const complaint = text(child.stderr as Readable).catch(() => '');
  const failure = await new Promise<string>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      error.code === NO_PROCESS_LEFT ? reject(error) : resolve(error.message),
    );
    child.once('exit', (code, signal) =>
      resolve(code === 0 ? '' : `failed with ${signal ?? `status ${code}`}`),
    );
  });
  if (child.killed) throw new Error(`it did not end within ${timeoutMs / 1000} s`);
  if (failure === '') return { said: await said };
  return { failure: (await complaint).trim().split('\n')[0] || failure };
}

/** Why a command does not end well; undefined when it does. Throws an Error when it cannot be tried. */
export async function failureOf(command: readonly string[], trial: Trial): Promise<string | undefined> {
  const end = await run(command, trial);
  return 'failure' in end ? end.failure : undefined;
}

/** What a program says to `--version`; null when it does not work. Throws an Error when it cannot be tried. */
export async function versionOf(program: string): Promise<string | null> {
  const trial = { env: {}, timeoutMs: VERSION_MS_MAX, stdio: [], send: () => {} };
  const end = await run([program, '--version'], trial);
  return 'said' in end ? end.said.trim() : null;
}
