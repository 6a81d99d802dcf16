/** `spare export FILE FOLDER`: the state in a backup as plain SQLite files, in a folder in which nothing else is. */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Exported } from '../backup/export.ts';
import { syncFile } from '../durable.ts';
import { messageOf, SpareError } from '../errors.ts';
import { doBeside } from '../thread.ts';
import { cannotWrite, checkPlace, type Progress } from './backup.ts';
import type { ExportOptions } from './export-thread.ts';
import { Interrupted } from './interruption.ts';
import type { Settings } from './settings.ts';

/**
 * The files are there only once all are whole. Throws `SpareError` backup-*, or the reason of `signal` once that is aborted: then nothing
 * of it is left.
 */
export async function exportInto(
  settings: Settings,
  backup: string,
  folder: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<Exported> {
  const target = resolve(folder);
  const isThere = isEmptyFolder(target);
  // Above a folder that is there nothing is written: it may be where a disk is mounted.
  checkPlace(settings.data, target, isThere ? target : dirname(target));
  const unfinished = makeUnfinished(target, isThere);
  try {
    const paths = settings.state.map((name) => join(unfinished, name));
    const options: ExportOptions = {
      service: { folder: settings.folder, state: settings.state },
      backup,
      paths,
    };
    const thread = new URL('./export-thread.ts', import.meta.url);
    const exported = await doBeside<Exported>(thread, options, { progress, signal });
    for (const name of readdirSync(unfinished)) renameSync(join(unfinished, name), join(target, name));
    rmdirSync(unfinished);
    syncFile(target);
    if (!isThere) syncFile(dirname(target));
    return exported;
  } catch (error) {
    rmSync(isThere ? unfinished : target, { recursive: true, force: true });
    if (error instanceof SpareError || error instanceof Interrupted) throw error;
    throw cannotWrite(target, messageOf(error), error);
  }
}

/** False: nothing is there. Throws `SpareError` backup-failed where something else is. */
function isEmptyFolder(target: string): boolean {
  try {
    const found = statSync(target, { throwIfNoEntry: false });
    if (found === undefined) return false;
    if (found.isDirectory() && readdirSync(target).length === 0) return true;
  } catch (error) {
    throw cannotWrite(target, messageOf(error), error);
  }
  throw cannotWrite(target, 'there is something already');
}

function makeUnfinished(target: string, isThere: boolean): string {
  try {
    if (!isThere) mkdirSync(target, { mode: 0o700 });
    return mkdtempSync(join(target, 'unfinished-'));
  } catch (error) {
    throw cannotWrite(target, messageOf(error), error);
  }
}
