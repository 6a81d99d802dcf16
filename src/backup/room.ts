/** Whether there is room for a backup beside the data that it is made of. */
import { join } from 'node:path';
import { STORE_FILE } from '../data-folder.ts';
import { SpareError } from '../errors.ts';
import { bytesToGoOn, freeBytes, sizeOf, stateBytes } from '../room.ts';

/** Beside the states, what a backup is made of. */
const STORE_FILES = [STORE_FILE, `${STORE_FILE}-wal`];

/**
 * `faults`: of the group that goes on with the same disk meanwhile; it is left what it needs until the backup is moved away. Null: none
 * does. Throws `SpareError` backup-failed.
 */
export function checkRoom(dataFolder: string, faults: number | null): void {
  const free = freeBytes(dataFolder);
  if (free === null) return;
  const backedUp = [...stateBytes(dataFolder), ...STORE_FILES.map((name) => sizeOf(join(dataFolder, name)))];
  const sum = backedUp.reduce((all, bytes) => all + bytes, 0);
  const missing = sum + (faults === null ? 0 : bytesToGoOn(dataFolder, faults)) - free;
  if (missing <= 0) return;
  const mebibytes = Math.ceil(missing / 1024 ** 2);
  throw new SpareError(
    'backup-failed',
    `There is no room for a backup in ${dataFolder}: ${mebibytes} MiB are missing.`,
    {
      hint: 'Free space: it is made there first. Beside a running group, that is left room to go on.',
    },
  );
}
