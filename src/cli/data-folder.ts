/** The data folder: made or refused before anything is started in it, and taken back when nothing came of it. */
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { removeUnfinished } from '../backup/make.ts';
import { DOMAINS_FOLDER, isStateFile, makeDomainsFolder, RESTORED_FILE, STORE_FILE } from '../data-folder.ts';
import { IMAGES } from '../domains/qemu/driver.ts';
import { messageOf, SpareError } from '../errors.ts';
import { removeUnsettled } from '../images/images.ts';
import { removeFolder } from '../remove-folder.ts';

const HINT =
  'Mend that, or choose another folder with --data: a group that has run in this one would begin anew there.';
const NAMED_MAX = 3;
const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EEXIST: 'it is a file',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a part of its path is a file',
  EROFS: 'the file system is read-only',
};

function reasonOf(error: unknown): string {
  return REASONS[(error as NodeJS.ErrnoException).code ?? ''] ?? messageOf(error);
}

export interface DataFolder {
  /** Removes all that was made in it since, and the folders that were made for it and are empty. */
  discard(): void;
}

/** Throws `SpareError` data-folder-missing where nothing was ever started, data-folder-unwritable where that cannot be seen. */
export function checkDataFolder(folder: string): void {
  try {
    if (statSync(join(folder, STORE_FILE), { throwIfNoEntry: false }) !== undefined) return;
  } catch (error) {
    const message = `Cannot look into the data folder ${folder}: ${reasonOf(error)}.`;
    throw new SpareError('data-folder-unwritable', message, {
      hint: 'Call `spare` as the user that Spare runs as there.',
      cause: error,
    });
  }
  throw new SpareError('data-folder-missing', `${folder} is no data folder of Spare.`, {
    hint: 'Name it with --data, or the configuration that names it with --config.',
  });
}

/** Returns the topmost folder that it made. One by one: below `/proc` a recursive `mkdir` of Node never comes back. */
function makeFolder(folder: string): string | undefined {
  if (isFolder(folder)) return undefined;
  const above = existsSync(dirname(folder)) ? undefined : makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another start made it meanwhile, and needs what is above, too.
    if (isFolder(folder)) return undefined;
    throw error;
  }
  return above ?? folder;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** From `folder` up to `topmost`, as far as nothing is in them. */
function removeEmpty(folder: string, topmost: string): void {
  try {
    for (let path = folder; path.length >= topmost.length; path = dirname(path)) rmdirSync(path);
  } catch {
    // What was made for this data has become the place of others' data, too.
  }
}

/** Throws `SpareError` data-folder-unwritable. */
function keepOthersOut(folder: string): void {
  if ((statSync(folder).mode & 0o077) === 0) return;
  try {
    chmodSync(folder, 0o700);
  } catch (error) {
    const message = `Others may enter the data folder ${folder}, which is not ours to forbid: ${messageOf(error)}.`;
    throw new SpareError('data-folder-unwritable', message, { hint: HINT, cause: error });
  }
}

function unwritable(folder: string, cause: unknown): SpareError {
  const message = `Cannot write to the data folder ${folder}: ${reasonOf(cause)}.`;
  return new SpareError('data-folder-unwritable', message, { hint: HINT, cause });
}

/** Others are kept out of it from then on. Throws `SpareError` data-folder-unwritable, data-folder-foreign, data-folder-damaged. */
export function prepareDataFolder(folder: string): DataFolder {
  let made: string | undefined;
  try {
    made = makeFolder(folder);
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unwritable(folder, error);
  }
  if (existsSync(join(folder, STORE_FILE))) {
    keepOthersOut(folder);
    return { discard: () => {} };
  }
  const { mode } = statSync(folder);
  const before = readdirSync(folder);
  const others = before.filter((name) => name !== IMAGES);
  if (others.includes(DOMAINS_FOLDER) && others.every(isRestored)) {
    throw notRestored(folder);
  }
  if (others.length > 0) {
    const named = others.slice(0, NAMED_MAX).join(', ') + (others.length > NAMED_MAX ? ', …' : '');
    throw new SpareError('data-folder-foreign', `${folder} holds files that are not Spare's: ${named}.`, {
      hint: 'Choose an empty or new folder with --data.',
    });
  }
  keepOthersOut(folder);
  return {
    discard: () => {
      if (made === undefined) chmodSync(folder, mode);
      const added = readdirSync(folder).filter((name) => !before.includes(name));
      for (const name of added) rmSync(join(folder, name), { recursive: true, force: true });
      if (made !== undefined) removeEmpty(folder, made);
    },
  };
}

/** What a restore makes before the store. */
function isRestored(name: string): boolean {
  return isStateFile(name) || name === DOMAINS_FOLDER || name.startsWith(RESTORED_FILE);
}

function notRestored(folder: string): SpareError {
  return new SpareError('data-folder-damaged', `${folder} has not been restored to the end.`, {
    hint: 'If a `spare restore` is at it still, wait for that. Remove it otherwise, and call `spare restore` again.',
  });
}

/**
 * For a restore, which takes long before it writes anything: from then on no other call takes the folder for an empty one.
 * Throws `SpareError` data-folder-damaged where another restore was faster, data-folder-unwritable.
 */
export function claimForRestore(folder: string): void {
  try {
    makeDomainsFolder(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw notRestored(folder);
    throw unwritable(folder, error);
  }
}

/**
 * Removes what an earlier run left of its domains, of a backup, or of a deploy; only once the store is locked, so that nobody else runs here.
 * Throws `SpareError` data-folder-unwritable.
 */
export async function clearLeftovers(folder: string): Promise<void> {
  try {
    removeUnfinished(folder);
    removeUnsettled(folder);
    await removeFolder(join(folder, DOMAINS_FOLDER));
    makeDomainsFolder(folder);
  } catch (error) {
    const message = `Cannot remove from the data folder ${folder} what an earlier run left: ${messageOf(error)}.`;
    const hint = 'Remove what is named, or let the user that Spare runs as do it.';
    throw new SpareError('data-folder-unwritable', message, { hint, cause: error });
  }
}
