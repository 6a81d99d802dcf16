/** What room a data folder has on its disk, also for what is made there beside a group that goes on. */
import { readdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isStateFile } from './data-folder.ts';
import { messageOf, type SpareError, storageFailed } from './errors.ts';

/** What comes to the order, and to SQLite's log of it, before it is truncated: 32 MiB each; evidence, and small files. */
const GROWTH_BYTES = 128 * 1024 ** 2;

/** Null: the file system does not tell. */
export function freeBytes(dataFolder: string): number | null {
  const { blocks, bavail, bsize } = statfsSync(dataFolder);
  return blocks === 0 ? null : bavail * bsize;
}

/** A disk with less left is full: what is to be written next is often larger than what is left, and fails. */
const FULL_BYTES = 1024 ** 2;

/** `storage-failed` where the disk of the data folder is full, or cannot be asked; null where there is room. */
export function fullDisk(dataFolder: string): SpareError | null {
  try {
    const isFull = (freeBytes(dataFolder) ?? Infinity) < FULL_BYTES;
    return isFull ? storageFailed(dataFolder, 'its disk is full') : null;
  } catch (error) {
    // Such as a folder that is gone.
    return storageFailed(dataFolder, messageOf(error));
  }
}

/** Of each whole state. A second checkpoint is there while one follows on another. */
export function stateBytes(dataFolder: string): number[] {
  return readdirSync(dataFolder)
    .filter(isStateFile)
    .map((name) => sizeOf(join(dataFolder, name)));
}

/** What a group that runs may need meanwhile: it ends when the disk is full. For its next checkpoint f+1 export, while the last stays. */
export function bytesToGoOn(dataFolder: string, faults: number): number {
  return GROWTH_BYTES + (faults + 1) * Math.max(0, ...stateBytes(dataFolder));
}

/** What may be written beside a group that runs. */
export function bytesToSpare(dataFolder: string, faults: number): number {
  return (freeBytes(dataFolder) ?? Infinity) - bytesToGoOn(dataFolder, faults);
}

/** 0 where there is none. */
export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
