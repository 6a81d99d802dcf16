/**
 * Makes a backup of a group, also while it runs: all that was acknowledged before is in it.
 *
 * M1. The file has its place in the data folder under a name that says it is unfinished; whoever wanted it moves it.
 * M2. It is not begun where a group that runs would be left without room to go on.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { makePrivateFile } from '../data-folder.ts';
import { messageOf, SpareError } from '../errors.ts';
import type { Store } from '../ordering/store.ts';
import { startThread } from '../thread.ts';
import { checkRoom } from './room.ts';
import type { Sealed, SealOptions } from './seal.ts';

/** In the data folder. */
export const UNFINISHED_FILE = 'backup.new';
/** Locked by who wants a backup, until that is in its place: there is one unfinished file. */
export const LOCK_FILE = 'backup.lock';

export interface MadeBackup extends Sealed {
  readonly file: string;
}

/**
 * The states in the data folder must stay until this is done. `running`: the group goes on meanwhile. Throws a `SpareError`
 * backup-failed.
 */
export async function makeBackup(store: Store, dataFolder: string, running: boolean): Promise<MadeBackup> {
  const file = join(dataFolder, UNFINISHED_FILE);
  try {
    rmSync(file, { force: true });
    checkRoom(dataFolder, running);
    makePrivateFile(file);
    await store.copy(file);
    const workerData: SealOptions = { file, dataFolder };
    const worker = startThread(new URL('./seal-thread.ts', import.meta.url), workerData);
    const sealed = await new Promise<Sealed>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    return { file, ...sealed };
  } catch (error) {
    rmSync(file, { force: true });
    if (error instanceof SpareError && error.code === 'backup-failed') throw error;
    throw new SpareError('backup-failed', `The backup could not be made: ${messageOf(error)}.`, {
      hint: 'It is made in the data folder first, of what lies there, which is as it was before.',
      cause: error,
    });
  }
}
