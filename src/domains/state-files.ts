import { join } from 'node:path';
import { FILE_SUFFIXES } from '../replica/state/page.ts';

/** State files, and what SQLite keeps beside them, in `folder`: never taken from the host. */
export function stateFiles(state: readonly string[], folder: string): string[] {
  return state.flatMap((file) => FILE_SUFFIXES.map((suffix) => join(folder, file) + suffix));
}
