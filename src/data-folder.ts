/** What a data folder of Spare has since a group was first run in it, or was restored into it, and is known by. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const STORE_FILE = 'spare.db';
/** The files of domains that run, each in a folder of its own. */
export const DOMAINS_FOLDER = 'domains';

export function isDataFolder(folder: string): boolean {
  return [STORE_FILE, DOMAINS_FOLDER].every((name) => existsSync(join(folder, name)));
}
