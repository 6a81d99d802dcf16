/**
 * Builds the guest's first process (`init.c`) with whatever C compiler there is; linked statically, because it runs before
 * there is a file system with libraries.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { messageOf, SpareError } from '../../errors.ts';

const SOURCES = ['init.c', 'root.c', 'agent.c', 'watch.c'].map(beside);
const HEADER = beside('init.h');
const PROGRAM = fileURLToPath(new URL('../../../build/spare-init', import.meta.url));
const COMPILERS = ['cc', 'gcc', 'clang'];
const FLAGS = ['-static', '-std=gnu11', '-Os', '-s', '-Wl,--build-id=none'];
const COMPILE_MS_MAX = 60_000;

function beside(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/**
 * Builds the program unless it is newer than its sources. Answers its path. Throws `image-build-failed`. `program` and
 * `flags` are for a test that needs another one.
 */
export function buildInit(program: string = PROGRAM, flags: readonly string[] = []): string {
  const sources = [HEADER, ...SOURCES];
  if (existsSync(program)) {
    const builtMs = statSync(program).mtimeMs;
    if (sources.every((source) => statSync(source).mtimeMs <= builtMs)) return program;
  }
  mkdirSync(dirname(program), { recursive: true });
  const draft = `${program}.${process.pid}`;
  const failures: string[] = [];
  try {
    for (const compiler of COMPILERS) {
      const { status, stderr, error } = spawnSync(compiler, [...FLAGS, ...flags, '-o', draft, ...SOURCES], {
        encoding: 'utf8',
        timeout: COMPILE_MS_MAX,
      });
      if (status === 0) {
        renameSync(draft, program);
        return program;
      }
      failures.push(error === undefined ? `${compiler}: ${stderr.trim().split('\n')[0]}` : error.message);
    }
  } finally {
    rmSync(draft, { force: true });
  }
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
