/** Whether the disk has room for the replicas of a new version, all of which are there before the old ones go. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { SpareError } from '../errors.ts';
import { bytesToGoOn, freeBytes, stateBytes } from '../room.ts';

const MEASURING_MS_MAX = 10_000;

/**
 * `active`: folders of active replicas; all f+1 where the group answers. A new one holds as much: the state, and what of the service
 * folder is copied for it; where that cannot be measured, the state alone is counted. `ending`: aborted when the group ends. Throws
 * `deploy-failed`.
 */
export async function checkRoomBeside(
  active: readonly string[],
  faults: number,
  dataFolder: string,
  ending: AbortSignal,
): Promise<void> {
  const free = freeBytes(dataFolder);
  if (free === null) return;
  // One that is faulty may have filled its own: the smallest has no more than a sound one.
  const sizes = await Promise.all(active.map((folder) => bytesOnDisk(folder, ending)));
  const known = sizes.filter((size) => size !== null);
  const each = known.length > 0 ? Math.min(...known) : Math.max(0, ...stateBytes(dataFolder));
  const count = 2 * faults + 2;
  const needed = count * each + bytesToGoOn(dataFolder, faults);
  if (needed <= free) return;
  const mib = (bytes: number): number => Math.ceil(bytes / 1024 ** 2);
  const message =
    `There is no room for a new version beside the one that runs: ` +
    `it takes ${mib(needed)} MiB in ${dataFolder}, and ${mib(free)} MiB are free.`;
  throw new SpareError('deploy-failed', message, {
    hint: `Free space: there will be ${count} more copies of the state, and the group is left room to go on.`,
  });
}

/** Null where that cannot be told in time. A process of its own looks: there may be a million files, or they come and go. */
async function bytesOnDisk(folder: string, signal: AbortSignal): Promise<number | null> {
  const run = promisify(execFile)('du', ['-sk', '--', folder], { timeout: MEASURING_MS_MAX, signal });
  // Also of what it has seen but for some.
  const { stdout } = await run.catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }));
  const kib = Number.parseInt(stdout, 10);
  return Number.isNaN(kib) ? null : kib * 1024;
}
