/**
 * Makes a backup of a group, also while it runs: all that was acknowledged before is in it.
 *
 * M1. The file has its place in the data folder under a name that says it is unfinished; whoever wanted it moves it.
 * M2. It is not begun where a group that runs would be left without room to go on.
 * M3. What nobody waits for any more is not left there.
 */
import { join } from 'node:path';
import { makePrivateFile } from '../data-folder.ts';
import { messageOf, SpareError } from '../errors.ts';
import type { Store } from '../ordering/store.ts';
import { removeFile } from '../remove-file.ts';
import { doBeside } from '../thread.ts';
import { checkRoom } from './room.ts';
import type { Sealed, SealOptions } from './seal.ts';

/** In the data folder. */
export const UNFINISHED_FILE = 'backup.new';
/** Locked by who wants a backup, until that is in its place: there is one unfinished file. */
export const LOCK_FILE = 'backup.lock';

export interface MadeBackup extends Sealed {
  readonly file: string;
}

/** What a backup that did not come to its end has left, with SQLite's journal of it. */
export function removeUnfinished(dataFolder: string): void {
  const file = join(dataFolder, UNFINISHED_FILE);
  for (const path of [file, `${file}-journal`]) removeFile(path);
}

/**
 * The states in the data folder must stay until this is done. `faults`: of the group that goes on meanwhile; null: none does.
 * `unwanted`: nobody waits for it any more. Throws a `SpareError` backup-failed.
 */
export async function makeBackup(
  store: Store,
  dataFolder: string,
  faults: number | null,
  unwanted: AbortSignal,
): Promise<MadeBackup> {
  const file = join(dataFolder, UNFINISHED_FILE);
  try {
    removeUnfinished(dataFolder);
    checkRoom(dataFolder, faults);
    makePrivateFile(file);
    await store.copy(file);
    const options: SealOptions = { file, dataFolder };
    const sealed = await doBeside<Sealed>(new URL('./seal-thread.ts', import.meta.url), options, {
      signal: unwanted,
    });
    return { file, ...sealed };
  } catch (error) {
    removeUnfinished(dataFolder);
    if (error instanceof SpareError && error.code === 'backup-failed') throw error;
    // That the store was closed meanwhile tells nobody why.
    const why = messageOf(unwanted.aborted ? unwanted.reason : error).replace(/\.$/, '');
    throw new SpareError('backup-failed', `The backup could not be made: ${why}.`, {
      hint: 'It is made in the data folder first, of what lies there, which is as it was before.',
      cause: error,
    });
  }
}
