/** Whether there is room for a backup beside the data that it is made of. */
import { readdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BASE_FILE, STORE_FILE } from '../data-folder.ts';
import { SpareError } from '../errors.ts';
import { CHECKPOINT_FILE } from '../ordering/store-protocol.ts';

/** Beside the states, what a backup is made of. */
const STORE_FILES: ReadonlySet<string> = new Set([STORE_FILE, `${STORE_FILE}-wal`]);
/** What comes to the order, and to SQLite's log of it, before it is truncated: 32 MiB each; evidence, and small files. */
const GROWTH_BYTES = 128 * 1024 ** 2;
/** Exported for the next checkpoint with f = 1, while the one before it must stay. */
const EXPORTS = 2;

/**
 * `running`: a group goes on with the same disk meanwhile, and ends when that is full; it is left what it needs until the backup
 * is moved away. Throws `SpareError` backup-failed.
 */
export function checkRoom(dataFolder: string, running: boolean): void {
  const { blocks, bavail, bsize } = statfsSync(dataFolder);
  // Some file systems do not tell.
  if (blocks === 0) return;
  const names = readdirSync(dataFolder);
  const bytesOf = (isMeant: (name: string) => boolean): number[] =>
    names.filter(isMeant).map((name) => sizeOf(join(dataFolder, name)));
  // A second checkpoint is there while one follows on another, and counts too.
  const states = bytesOf((name) => name === BASE_FILE || CHECKPOINT_FILE.test(name));
  const backedUp = [...states, ...bytesOf((name) => STORE_FILES.has(name))];
  const sum = backedUp.reduce((all, bytes) => all + bytes, 0);
  const growth = running ? GROWTH_BYTES + EXPORTS * Math.max(0, ...states) : 0;
  const missing = sum + growth - bavail * bsize;
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

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
