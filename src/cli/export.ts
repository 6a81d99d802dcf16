/** `spare export FILE FOLDER`: the state in a backup as plain SQLite files, in a new folder. */
import { mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { exportState, type Exported } from '../backup/export.ts';
import { syncFile } from '../durable.ts';
import { messageOf, SpareError } from '../errors.ts';
import { cannotWrite, checkPlace, type Progress, sourceOf } from './backup.ts';
import type { Settings } from './settings.ts';

/** The folder is there only once all is in it. Throws `SpareError` backup-*. */
export function exportInto(settings: Settings, backup: string, folder: string, progress: Progress): Exported {
  const target = resolve(folder);
  checkPlace(settings.data, target);
  checkNothingThere(target);
  const unfinished = mkdtempSync(`${target}.`);
  try {
    const paths = settings.state.map((name) => join(unfinished, name));
    const exported = exportState(sourceOf(settings, backup, progress), paths);
    renameSync(unfinished, target);
    syncFile(dirname(target));
    return exported;
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    throw error instanceof SpareError ? error : cannotWrite(target, messageOf(error), error);
  }
}

function checkNothingThere(target: string): void {
  const found = statSync(target, { throwIfNoEntry: false });
  if (found === undefined || (found.isDirectory() && readdirSync(target).length === 0)) return;
  throw cannotWrite(target, 'there is something already');
}
