/**
 * Builds the libc layer (`preload*.c`). Run directly it does so and says what it did; `npm ci` runs it through the `prepare` script.
 *
 * A missing or failing compiler is no error: the Node layer then covers what a Node service sees, and the lack is said in one line.
 * (Programs in other languages are not deterministic without the libc layer.)
 */
import { buildC, type InC } from '../build-c.ts';
import { PRELOAD } from '../preload.ts';

const LAYER: InC = {
  folder: import.meta.dirname,
  header: 'preload.h',
  sources: [
    'preload.c',
    'preload-clock.c',
    'preload-openssl.c',
    'preload-php.c',
    'preload-random.c',
    'preload-reads.c',
    'preload-sqlite.c',
    'preload-uuid.c',
  ],
  compilers: ['cc', 'gcc', 'clang', 'g++'],
  flags: ['-x', 'c', '-std=gnu11', '-O2', '-shared', '-fPIC'],
  libraries: ['-ldl', '-pthread'],
};

/** Its path, or null when there is no compiler that can. */
export function buildPreload(): string | null {
  return process.platform === 'linux' && buildC(LAYER, PRELOAD) === null ? PRELOAD : null;
}

if (import.meta.main) {
  const path = buildPreload();
  console.log(
    path === null
      ? 'spare: no C compiler (cc, gcc, clang) could build the libc layer; only Node services will be deterministic'
      : `spare: libc layer at ${path}`,
  );
}
