/** What a data folder of Spare has since a group was first run in it, or was restored into it, and is known by. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const STORE_FILE = 'spare.db';
/** The store while a backup is restored, until all else is in the folder. */
export const RESTORED_FILE = 'spare.db.new';
/** The state of the service that the group began with. */
export const BASE_FILE = 'base';
/** What a checkpoint's file is called. */
export const CHECKPOINT_FILE: RegExp = /^checkpoint-\d+$/;
/** What that of the state after this entry is called. */
export function checkpointFile(index: number): string {
  return `checkpoint-${index}`;
}
/** Of all files in it: the state of the service, what clients asked, and backups of both. */
export const PRIVATE = 0o600;
/** The files of domains that run, each in a folder of its own. */
export const DOMAINS_FOLDER = 'domains';

/** Whether a file that is called so holds a whole state of the service. */
export function isStateFile(name: string): boolean {
  return name === BASE_FILE || CHECKPOINT_FILE.test(name);
}

/** Who runs in a domain must get through it. */
export function makeDomainsFolder(dataFolder: string): void {
  mkdirSync(join(dataFolder, DOMAINS_FOLDER), { mode: 0o711 });
}

/** Also one that is being restored, or was not to the end: it is no part of a service in whose folder it lies. */
export function isDataFolder(folder: string): boolean {
  const has = (name: string): boolean => existsSync(join(folder, name));
  return has(DOMAINS_FOLDER) && (has(STORE_FILE) || has(RESTORED_FILE));
}

/** A file that SQLite will fill: what it makes itself, and keeps beside it, others may read. */
export function makePrivateFile(path: string): void {
  // Not one that is there: to close a database's file gives up the locks that this process has on it.
  if (!existsSync(path)) writeFileSync(path, '', { mode: PRIVATE });
}
