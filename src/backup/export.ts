/**
 * Makes plain SQLite files of the state in a backup: a way to look into it, and out of Spare.
 *
 * X1. It is the state after the last entry whose effect is recorded. What only a copy of the service could make of later ones is not
 *     in it, and is told.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { syncFile } from '../durable.ts';
import { messageOf, SpareError } from '../errors.ts';
import { plainFiles } from '../replica/state/plain.ts';
import { asBuffer } from '../wire/bytes.ts';
import { decodeEntry } from '../wire/entry.ts';
import { checkpointOf, piecesOf } from './container.ts';
import { readBackup, type Source, type Verified } from './source.ts';

export interface Exported extends Verified {
  /** Requests in the backup that came later than the state. */
  readonly later: number;
}

/**
 * `paths`: where the state files are to be, in the order in which the service names them; nothing may be there. Throws `SpareError`
 * backup-missing, backup-foreign, backup-damaged, backup-failed.
 */
export function exportState(source: Source, paths: readonly string[]): Exported {
  let later = 0;
  const verified = readBackup(source, (database, progress, decided) => {
    try {
      writeFiles(database, paths, decided, progress);
      later = requestsAfter(database, decided);
    } catch (error) {
      throw new SpareError('backup-failed', `${source.backup} could not be exported: ${messageOf(error)}.`, {
        hint: 'There must be room for the whole state where it is to be.',
        cause: error,
      });
    }
  });
  return { ...verified, later };
}

function writeFiles(
  database: DatabaseSync,
  paths: readonly string[],
  decided: number,
  progress: (bytes: number) => void,
): void {
  function* told(bytes: Iterable<Uint8Array>): Generator<Uint8Array> {
    for (const piece of bytes) {
      yield piece;
      progress(piece.length);
    }
  }
  for (const path of paths) mkdirSync(dirname(path), { recursive: true });
  const checkpoint = checkpointOf(database);
  const state = piecesOf(database, checkpoint === null ? 'base' : 'checkpoint');
  const updates = updatesOf(database, checkpoint?.index ?? -1, decided);
  for (const file of plainFiles(paths, told(state), told(updates))) {
    file.close();
    syncFile(file.path);
  }
}

function* updatesOf(database: DatabaseSync, after: number, through: number): Generator<Uint8Array> {
  const rows = database.prepare('select bytes from updates where idx > ? and idx <= ? order by idx');
  for (const row of rows.iterate(after, through)) yield row['bytes'] as Uint8Array;
}

function requestsAfter(database: DatabaseSync, index: number): number {
  const rows = database.prepare('select bytes from entries where idx > ?').all(index);
  return rows.filter((row) => decodeEntry(asBuffer(row['bytes'] as Uint8Array)).kind === 'request').length;
}
