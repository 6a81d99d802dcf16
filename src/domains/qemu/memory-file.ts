/** The memory of a machine as a file, which has no name: it goes with whoever holds it open. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, fchmodSync, ftruncateSync, openSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

import { fullDisk } from '../../room.ts';

/**
 * A file system in memory, where the host has it: a guest that boots writes to much of its memory for the first time, which takes far
 * longer where that is a file on disk.
 */
export const QUICK_FOLDER = '/dev/shm';
/** As `statfs` names such file systems. */
const TMPFS = 0x01021994;

/** Whether there is room in `QUICK_FOLDER` for a memory of so many bytes, and for another one that boots at the same time. */
export function hasQuickRoom(bytes: number): boolean {
  try {
    const { type, bavail, bsize } = statfsSync(QUICK_FOLDER);
    return type === TMPFS && Math.min(bavail * bsize, process.availableMemory()) >= 2 * bytes;
  } catch {
    return false;
  }
}

/** Of holes. Answers its descriptor. */
export function openMemory(folder: string, bytes: number): number {
  const path = join(folder, `memory-${randomBytes(8).toString('hex')}`);
  using held = new DisposableStack();
  const memory = held.adopt(openSync(path, 'wx+'), closeSync);
  rmSync(path);
  // Whoever owns a machine must be able to open it, through the descriptor that it is given: nobody else has one.
  fchmodSync(memory, 0o666);
  ftruncateSync(memory, bytes);
  held.move();
  return memory;
}

/** A copy without its holes: a guest does not touch all that it may. Throws `storage-failed` where `folder` has no room for it. */
export async function copyMemory(memory: number, folder: string, bytes: number): Promise<number> {
  using held = new DisposableStack();
  const copy = held.adopt(openMemory(folder, bytes), closeSync);
  const args = ['--reflink=auto', '--sparse=auto', '/proc/self/fd/3', '/proc/self/fd/4'];
  const copying = spawn('cp', args, { stdio: ['ignore', 'ignore', 'ignore', memory, copy] });
  const [code] = (await once(copying, 'exit')) as [number | null];
  // As long as the part that was copied is there: the disk is full of it.
  if (code !== 0) throw fullDisk(folder) ?? new Error('the memory of its template could not be copied');
  held.move();
  return copy;
}
