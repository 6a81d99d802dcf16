/** The data folder: made or refused before anything is started in it. */
import { accessSync, constants, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, SpareError } from '../errors.ts';

export const STORE_FILE = 'spare.db';
const HINT = 'Choose a folder that Spare can write to with --data.';

/** Throws `SpareError` data-folder-unwritable, data-folder-foreign. */
export function prepareDataFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    accessSync(folder, constants.W_OK | constants.X_OK);
    if (!statSync(folder).isDirectory()) throw new Error('it is not a folder');
  } catch (error) {
    throw new SpareError(
      'data-folder-unwritable',
      `Cannot write to the data folder ${folder}: ${messageOf(error)}.`,
      {
        hint: HINT,
        cause: error,
      },
    );
  }
  if (readdirSync(folder).length > 0 && !existsSync(join(folder, STORE_FILE))) {
    throw new SpareError('data-folder-foreign', `The folder ${folder} holds files that are not Spare's.`, {
      hint: 'Choose an empty or new folder with --data.',
    });
  }
}

/** What an earlier run left of its domains; only once the store is locked, so that nobody else runs here. */
export function clearDomains(folder: string): void {
  const domains = join(folder, 'domains');
  rmSync(domains, { recursive: true, force: true });
  mkdirSync(domains, { mode: 0o711 });
}
