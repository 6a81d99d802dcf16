/**
 * Builds the guest's first process (`init.c`); linked statically, because it runs before there is a file system with libraries.
 */
import { fileURLToPath } from 'node:url';

import { messageOf, SpareError } from '../../errors.ts';
import { buildC } from '../build-c.ts';

const PROGRAM = fileURLToPath(new URL('../../../build/spare-init', import.meta.url));
const INIT = {
  folder: import.meta.dirname,
  header: 'init.h',
  sources: ['init.c', 'root.c', 'agent.c', 'watch.c'],
  compilers: ['cc', 'gcc', 'clang'],
  libraries: [],
} as const;
const FLAGS = ['-static', '-std=gnu11', '-Os', '-s', '-Wl,--build-id=none'];

/** Answers its path. Throws `image-build-failed`. `program` and `flags` are for a test that needs another one. */
export function buildInit(program: string = PROGRAM, flags: readonly string[] = []): string {
  const failures = buildC({ ...INIT, flags: [...FLAGS, ...flags] }, program);
  if (failures === null) return program;
  throw new SpareError(
    'image-build-failed',
    `The guest's first process cannot be built: ${failures.join('; ')}.`,
    {
      hint: 'Install a C compiler with the static C library: apt-get install gcc libc6-dev',
    },
  );
}

if (import.meta.main) {
  try {
    console.log(`spare: the guest's first process at ${buildInit()}`);
  } catch (error) {
    console.log(`spare: without virtual machines: ${messageOf(error)}`);
  }
}
