/**
 * What one entry changed in all database files: empty, or a version byte, the number of files, then for each file a byte that says
 * whether it changed, followed by its patch (`patch.ts`). Files are known by their place in the list, not by their path.
 */
import { ByteReader, type ByteWriter } from './bytes.ts';
import { type FilePatch, readPatch } from './patch.ts';
import { StateError } from './state.ts';

const VERSION = 1;
const FILES_MAX = 0xffff;
const NOTHING_CHANGED = new Uint8Array(0);

/** `writeChange`: appends the patch of a file; false, and nothing appended, when it did not change. */
export function writeUpdate<File>(
  writer: ByteWriter,
  files: readonly File[],
  writeChange: (file: File) => boolean,
): Uint8Array {
  writer.truncate(0);
  writer.byte(VERSION);
  writer.varint(files.length);
  let changed = false;
  for (const file of files) {
    const flag = writer.length;
    writer.byte(1);
    if (writeChange(file)) {
      changed = true;
      continue;
    }
    writer.truncate(flag);
    writer.byte(0);
  }
  return changed ? writer.result() : NOTHING_CHANGED;
}

/**
 * One patch for each file, null where it did not change; none of an empty update. Only the first `pagesMax` pages are kept. Throws a
 * `StateError`.
 */
export function readUpdate(update: Uint8Array, pagesMax: number = Infinity): (FilePatch | null)[] {
  if (update.length === 0) return [];
  const reader = new ByteReader(update);
  const version = reader.byte('the version');
  if (version !== VERSION) throw new StateError(`malformed update: version ${version}`);
  const count = reader.varint('the number of files', FILES_MAX);
  let left = pagesMax;
  const patches = Array.from({ length: count }, () => {
    const patch = reader.varint('a flag', 1) === 1 ? readPatch(reader, left) : null;
    left -= patch?.pages.length ?? 0;
    return patch;
  });
  reader.end();
  return patches;
}
