/**
 * Builds the libc layer (`preload*.c`) with whatever C compiler there is. Run directly it does so and says what it did;
 * `npm ci` runs it through the `prepare` script.
 *
 * B1. A missing or failing compiler is no error: the Node layer then covers what a Node service sees, and the lack is
 *     said in one line. (Programs in other languages are not deterministic without the libc layer.)
 * B2. The library appears under its name whole or not at all, also when several processes build at once.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { PRELOAD } from '../preload.ts';

const SOURCES = [
  'preload.c',
  'preload-clock.c',
  'preload-random.c',
  'preload-sqlite.c',
  'preload-uuid.c',
].map(beside);
const HEADER = beside('preload.h');
const COMPILERS = ['cc', 'gcc', 'clang', 'g++'];
const FLAGS = ['-x', 'c', '-std=gnu11', '-O2', '-shared', '-fPIC'];
const COMPILE_MS_MAX = 60_000;

function beside(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** Builds the library unless it is newer than its sources. Its path, or null when there is no compiler that can. */
export function buildPreload(): string | null {
  if (process.platform !== 'linux') return null;
  if (existsSync(PRELOAD) && isNewerThan([HEADER, ...SOURCES])) return PRELOAD;
  mkdirSync(dirname(PRELOAD), { recursive: true });
  const draft = `${PRELOAD}.${process.pid}`;
  try {
    for (const compiler of COMPILERS) {
      const { status } = spawnSync(compiler, [...FLAGS, '-o', draft, ...SOURCES, '-ldl', '-pthread'], {
        stdio: 'ignore',
        timeout: COMPILE_MS_MAX,
      });
      if (status !== 0) continue;
      renameSync(draft, PRELOAD);
      return PRELOAD;
    }
    return null;
  } finally {
    rmSync(draft, { force: true });
  }
}

function isNewerThan(sources: readonly string[]): boolean {
  const builtMs = statSync(PRELOAD).mtimeMs;
  return sources.every((source) => statSync(source).mtimeMs <= builtMs);
}

if (import.meta.main) {
  const path = buildPreload();
  console.log(
    path === null
      ? 'spare: no C compiler (cc, gcc, clang) could build the libc layer; only Node services will be deterministic'
      : `spare: libc layer at ${path}`,
  );
}
