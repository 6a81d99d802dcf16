import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Writable } from 'node:stream';

/** Both ends, until the child has its own. */
const PIPE_ENDS = 2;

export interface PipedOptions extends SpawnOptions {
  readonly stdio: NonNullable<Exclude<SpawnOptions['stdio'], string>>;
}

/**
 * A child with its streams. Throws when there are no descriptors for them, and leaves none open: Node says so only later, and never
 * closes those that it had until then. All other failures come with streams, or are thrown by Node.
 */
export function spawnPiped(file: string, args: readonly string[], options: PipedOptions): ChildProcess {
  // One more tells whether the program could be started.
  const pipes = 1 + options.stdio.filter((stream) => stream === 'pipe').length;
  requireDescriptors(PIPE_ENDS * pipes);
  const child = spawn(file, args, options);
  // Somebody else took them just now. Node's types do not know of it.
  if ((child.stdio as unknown) !== undefined) return child;
  child.on('error', () => {});
  throw new Error('too many open files');
}

/** Writes all that the child is to read from this pipe of its own, and closes it. */
export function feed(child: ChildProcess, fd: number, bytes: string | Buffer): void {
  const stream = (child.stdio as unknown as readonly Writable[])[fd];
  // It may have ended.
  stream?.on('error', () => {});
  stream?.end(bytes, () => stream.destroy());
}

/** Throws when so many cannot be opened. */
function requireDescriptors(count: number): void {
  const opened: number[] = [];
  try {
    while (opened.length < count) opened.push(openSync('/dev/null', 'r'));
  } catch (error) {
    throw new Error('too many open files', { cause: error });
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}
