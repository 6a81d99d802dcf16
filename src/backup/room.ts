/** Whether there is room for a backup beside the data that it is made of. */
import { readdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SpareError } from '../errors.ts';

/** What may be in a backup; a second checkpoint is there while one follows on another, and counts too. */
const BACKED_UP = /^(base|checkpoint-\d+|spare\.db(-wal)?)$/;
const STATE = /^(base|checkpoint-\d+)$/;
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
  const sizes = readdirSync(dataFolder).map((name) => ({ name, bytes: sizeOf(join(dataFolder, name)) }));
  const sum = sizes.reduce((all, { name, bytes }) => all + (BACKED_UP.test(name) ? bytes : 0), 0);
  const state = Math.max(0, ...sizes.filter(({ name }) => STATE.test(name)).map(({ bytes }) => bytes));
  const missing = sum + (running ? GROWTH_BYTES + EXPORTS * state : 0) - bavail * bsize;
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
