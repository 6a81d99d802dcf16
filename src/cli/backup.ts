/** `spare backup FILE` and `spare restore FILE`: of a group that runs or is stopped, and into a folder where none is. */
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { LOCK_FILE, makeBackup, type MadeBackup, UNFINISHED_FILE } from '../backup/make.ts';
import { restore } from '../backup/restore.ts';
import type { Source, Verified } from '../backup/source.ts';
import { makePrivateFile, STORE_FILE } from '../data-folder.ts';
import { contains } from '../domains/process/paths.ts';
import { syncFile } from '../durable.ts';
import { messageOf, SpareError } from '../errors.ts';
import { isMeasured } from '../images/images.ts';
import { Store } from '../ordering/store.ts';
import { sizeOf } from '../room.ts';
import { askAdmin } from './admin-client.ts';
import type { Settings } from './settings.ts';
import { checkDataFolder, claimForRestore, prepareDataFolder } from './data-folder.ts';
import { Interrupted, unlessAborted } from './interruption.ts';
import { serviceName, stateFilesOf } from './service-name.ts';

const SHOWN_EVERY_MS = 300;

/** Says how far it is; only to a person who watches. */
export type Progress = (text: string) => void;

function mib(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}

/**
 * Throws `SpareError` data-folder-missing, data-folder-*, backup-*, admin-failed, or the reason of `signal` once that is aborted:
 * then nothing of it is left, but what a group that runs is making, which removes it itself.
 */
export async function backup(
  data: string,
  target: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<MadeBackup> {
  checkDataFolder(data);
  checkTarget(data, resolve(target));
  using _ = lock(data);
  const unfinished = join(data, UNFINISHED_FILE);
  const timer = setInterval(() => progress(`${mib(sizeOf(unfinished))} written`), SHOWN_EVERY_MS);
  try {
    const made = (await unlessAborted(signal, running(data))) ?? (await stopped(data, signal));
    await move(made.file, resolve(target), signal);
    return made;
  } finally {
    clearInterval(timer);
  }
}

export function cannotWrite(target: string, why: string, cause?: unknown): SpareError {
  return new SpareError('backup-failed', `Cannot write ${target}: ${why}.`, {
    hint: 'Name a place outside of the data folder and of the service folder, where you may write and there is room.',
    cause,
  });
}

/** Before anything is made: that may take long. Throws `SpareError` backup-failed. */
function checkTarget(data: string, target: string): void {
  checkPlace(data, target);
  const found = statSync(target, { throwIfNoEntry: false });
  if (found?.isFile() === false) throw cannotWrite(target, 'there is something else than a file');
  if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) return;
  // Not every folder that may be written to takes a file.
  try {
    makePrivateFile(target);
    rmSync(target);
  } catch (error) {
    throw cannotWrite(target, messageOf(error), error);
  }
}

/** Of what is made in `folder`, beside a data folder, if that is there. Throws `SpareError` backup-failed. */
export function checkPlace(data: string, target: string, folder: string = dirname(target)): void {
  try {
    const within = statSync(folder, { throwIfNoEntry: false });
    if (within?.isDirectory() !== true) throw cannotWrite(target, `there is no folder ${folder}`);
    // A group's own files are there, and what is made first: in the place of any, it would be lost.
    const real = realpathSync(folder);
    if (existsSync(data) && contains(realpathSync(data), real))
      throw cannotWrite(target, 'it is in the data folder');
    // No replica would start from then on.
    if (isMeasured(data, real))
      throw cannotWrite(
        target,
        'replicas start from what is in that folder, and it would be a change of that',
      );
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw error instanceof SpareError ? error : cannotWrite(target, messageOf(error), error);
  }
}

const BUSY = 5;

/** It ends with this process, however that ends. Throws `SpareError` backup-under-way, backup-failed. */
function lock(data: string): Disposable {
  const file = join(data, LOCK_FILE);
  try {
    makePrivateFile(file);
    const database = new DatabaseSync(file, { timeout: 0 });
    database.exec('begin exclusive');
    return database;
  } catch (error) {
    if ((error as { errcode?: number }).errcode === BUSY) {
      const hint = 'Wait for it.';
      throw new SpareError('backup-under-way', 'Another call of `spare backup` has not ended.', { hint });
    }
    throw new SpareError('backup-failed', `Cannot lock ${file}: ${messageOf(error)}.`, {
      hint: 'There must be room on its disk, and whoever calls `spare backup` be allowed to write there.',
      cause: error,
    });
  }
}

/** Null when nothing runs with the data folder. */
async function running(data: string): Promise<MadeBackup | null> {
  try {
    return (await askAdmin(data, '/backup')) as MadeBackup;
  } catch (error) {
    if (error instanceof SpareError && error.code === 'not-running') return null;
    throw error;
  }
}

function notBegun(data: string): SpareError {
  return new SpareError(
    'backup-failed',
    `There is nothing to back up in ${data}: no group has begun with it.`,
    {
      hint: 'Start it with `spare run`. Until then, what it will begin with is in the service folder alone.',
    },
  );
}

async function stopped(data: string, signal: AbortSignal): Promise<MadeBackup> {
  const { store, opened } = await Store.open(join(data, STORE_FILE), null);
  // Its first start begins with the databases that are in the service folder then, whatever was copied before.
  if (opened.entries.length === 0) {
    await store.close();
    throw notBegun(data);
  }
  const making = makeBackup(store, data, null, signal);
  try {
    return await unlessAborted(signal, making);
  } finally {
    // Ends a copy, which may be large.
    await store.close();
    await Promise.allSettled([making]);
  }
}

/** The target is whole or as it was before. */
async function move(file: string, target: string, signal: AbortSignal): Promise<void> {
  const unfinished = `${target}.new`;
  try {
    try {
      renameSync(file, target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
      await unlessAborted(signal, copyFile(file, unfinished));
      syncFile(unfinished);
      renameSync(unfinished, target);
    }
    syncFile(dirname(target));
  } catch (error) {
    rmSync(unfinished, { force: true });
    if (error instanceof Interrupted) throw error;
    throw cannotWrite(target, messageOf(error), error);
  } finally {
    rmSync(file, { force: true });
  }
}

/** A backup of this service. */
export function sourceOf(
  service: Pick<Settings, 'folder' | 'state'>,
  backup: string,
  progress: Progress,
): Source {
  const own = stateFilesOf(serviceName(service, service.folder));
  let shownAt = 0;
  return {
    backup,
    fits: (service) => stateFilesOf(service) === own,
    progress: (bytes) => {
      if (performance.now() - shownAt < SHOWN_EVERY_MS) return;
      shownAt = performance.now();
      progress(`${mib(bytes)} of at most ${mib(2 * sizeOf(backup))}`);
    },
  };
}

/** Throws `SpareError` data-folder-*, backup-*. */
export function restoreInto(settings: Settings, backup: string, progress: Progress): Verified {
  const { data } = settings;
  if (existsSync(join(data, STORE_FILE))) {
    throw new SpareError('data-folder-not-empty', `${data} holds the data of a group already.`, {
      hint: 'Restore into a new folder with --data, or move this one away first.',
    });
  }
  const folder = prepareDataFolder(data);
  // Before what takes back on failure: of a folder that another one claimed nothing is ours to remove.
  claimForRestore(data);
  const service = serviceName(settings, settings.folder);
  try {
    return restore({ ...sourceOf(settings, backup, progress), dataFolder: data, service });
  } catch (error) {
    folder.discard();
    throw error;
  }
}
