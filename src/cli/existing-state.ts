/**
 * Databases that a service has already, before Spare runs it for the first time: the group's initial state.
 *
 * E1. The copy is durable before anything is ordered on top of it.
 */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PRIVATE } from '../data-folder.ts';
import { copyFromLayers } from '../domains/qemu/image/oci.ts';
import { syncFile } from '../durable.ts';
import { isSystemError, messageOf, SpareError } from '../errors.ts';
import { exportDatabaseFiles, JournalModeError } from '../replica/state/existing.ts';
import { StateError } from '../replica/state/state.ts';
import { CHUNK_BYTES } from '../wire/channel.ts';
import { quoted } from './quoted.ts';

/**
 * Copies the databases to `target`; the SHA-256 of that, in base64, or null when there are none. `place`: a folder of ours, with room
 * for all of them. Throws `SpareError` state-not-database, state-not-wal.
 */
export function importExisting(
  folder: string,
  state: readonly string[],
  target: string,
  place: string,
  log: (line: string) => void,
): string | null {
  const files = state.map((file) => join(folder, file));
  if (!files.some((file) => existsSync(file))) return null;
  log(`copying    ${state.join(', ')}: what the group begins with`);
  const temporary = `${target}.new`;
  let digest: string;
  try {
    digest = write(temporary, contents(files, place));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  renameSync(temporary, target);
  syncFile(dirname(target));
  return digest;
}

/** The same, of what a container image has in its layers. Throws `image-build-failed`, too. */
export async function importFromLayers(
  oci: string,
  folder: string,
  state: readonly string[],
  target: string,
  place: string,
  log: (line: string) => void,
): Promise<string | null> {
  if (state.length === 0) return null;
  const scratch = await mkdtemp(join(place, 'layers-'));
  // Apart from the layers, whatever the image calls its folders.
  const copies = join(scratch, 'copies');
  log(`unpacking  the layers of ${oci}, to see whether they have ${state.join(', ')}`);
  try {
    const files = state.flatMap((file) => [file, `${file}-wal`]).map((file) => join(folder, file));
    await copyFromLayers(oci, files, copies, join(scratch, 'layers'));
    return importExisting(join(copies, folder), state, target, scratch, log);
  } catch (error) {
    if (!(error instanceof SpareError) || error.code === 'image-build-failed') throw error;
    throw new SpareError(error.code, error.message.replaceAll(copies, ''), {
      hint: `State files in ${oci} are SQLite databases in WAL mode (PRAGMA journal_mode=WAL): make the image anew, with such.`,
      cause: error,
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function write(path: string, chunks: Iterable<Uint8Array>): string {
  const hash = createHash('sha256');
  const fd = openSync(path, 'w', PRIVATE);
  try {
    for (const chunk of chunks) {
      writeFileSync(fd, chunk);
      hash.update(chunk);
    }
    fsyncSync(fd);
    return hash.digest('base64');
  } finally {
    closeSync(fd);
  }
}

function* contents(files: readonly string[], place: string): Iterable<Uint8Array> {
  try {
    yield* exportDatabaseFiles(files, CHUNK_BYTES, place);
  } catch (error) {
    if (!(error instanceof StateError || isSystemError(error))) throw error;
    const message = `Cannot take over the state: ${messageOf(error)}.`;
    if (error instanceof JournalModeError) {
      const hint = `End what uses it, and convert it once: sqlite3 ${quoted(error.path)} 'PRAGMA journal_mode=WAL'`;
      throw new SpareError('state-not-wal', message, { hint, cause: error });
    }
    throw new SpareError('state-not-database', message, {
      hint: 'State files are SQLite databases that can be read; they exist all, or none does and the service makes them.',
      cause: error,
    });
  }
}
