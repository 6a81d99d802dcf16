/**
 * Is there a compiled agent (`compile.ts`), and is it that of the sources that are there?
 *
 * J1. What was compiled of other sources than those that are there is not used: agents then run as source.
 */
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const COMPILED = 'dist';
/** In `COMPILED`: what it was compiled of, by path below the root, with digests. */
export const SOURCES = 'sources.json';

export function digestOfFile(path: string): string {
  return hash('sha256', readFileSync(path));
}

/** Where the compiled agent starts; null where there is none of the present sources. `root`: the folder of Spare itself. */
export function compiledAgent(root: string): string | null {
  try {
    const sources = JSON.parse(readFileSync(join(root, COMPILED, SOURCES), 'utf8')) as Record<string, string>;
    const isPresent = Object.entries(sources).every(
      ([path, digest]) => digestOfFile(join(root, path)) === digest,
    );
    return isPresent ? join(root, COMPILED, 'replica/agent.js') : null;
  } catch {
    return null;
  }
}
