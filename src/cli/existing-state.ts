/** Databases that a service has already, before Spare runs it for the first time: the group's initial state. */
import {
  closeSync,
  existsSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { PRIVATE } from '../data-folder.ts';
import { SpareError } from '../errors.ts';
import { exportDatabaseFiles } from '../replica/state/existing.ts';
import { FILE_HEADER_BYTES, parseFileHeader } from '../replica/state/page.ts';
import { StateError } from '../replica/state/state.ts';
import { CHUNK_BYTES } from '../wire/channel.ts';

/** Copies the databases, if there are any, to `target`. Throws `SpareError` state-not-database, state-not-wal. */
export function importExisting(folder: string, state: readonly string[], target: string): void {
  const files = state.map((file) => join(folder, file));
  if (!files.some((file) => existsSync(file))) return;
  for (const file of files) checkJournal(file);
  const temporary = `${target}.new`;
  const fd = openSync(temporary, 'w', PRIVATE);
  try {
    for (const chunk of exportDatabaseFiles(files, CHUNK_BYTES)) writeFileSync(fd, chunk);
  } catch (error) {
    rmSync(temporary);
    if (!(error instanceof StateError)) throw error;
    throw new SpareError('state-not-database', `Cannot take over the state: ${error.message}.`, {
      hint: 'State files are SQLite databases; they exist all, or none does and the service makes them.',
      cause: error,
    });
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, target);
}

function checkJournal(file: string): void {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) return;
  const fd = openSync(file, 'r');
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  const length = readSync(fd, header, 0, FILE_HEADER_BYTES, 0);
  closeSync(fd);
  if (parseFileHeader(header.subarray(0, length))?.wal !== false) return;
  throw new SpareError('state-not-wal', `The database ${file} is not in WAL mode.`, {
    hint: `End what uses it, and convert it once: sqlite3 ${quoted(file)} 'PRAGMA journal_mode=WAL'`,
  });
}

/** As a word of a shell. */
export function quoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
