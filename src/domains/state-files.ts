import { join } from 'node:path';

const SUFFIXES = ['', '-wal', '-shm', '-journal'];

/** State files, and what SQLite keeps beside them, in `folder`: never taken from the host. */
export function stateFiles(state: readonly string[], folder: string): string[] {
  return state.flatMap((file) => SUFFIXES.map((suffix) => join(folder, file) + suffix));
}
