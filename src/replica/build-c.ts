/**
 * Builds what of Spare is written in C, with whatever compiler there is.
 *
 * B1. What is built appears under its name whole or not at all, also when several processes build at once.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

const COMPILE_MS_MAX = 60_000;

export interface InC {
  /** Absolute; where header and sources are. */
  readonly folder: string;
  readonly header: string;
  readonly sources: readonly string[];
  /** Tried one after the other. */
  readonly compilers: readonly string[];
  readonly flags: readonly string[];
  readonly libraries: readonly string[];
}

/** Unless `target` is newer than what it is built from. Null: it is there; else why each compiler could not. */
export function buildC({ folder, header, ...rest }: InC, target: string): string[] | null {
  const sources = rest.sources.map((name) => join(folder, name));
  if (existsSync(target)) {
    const builtMs = statSync(target).mtimeMs;
    if ([join(folder, header), ...sources].every((path) => statSync(path).mtimeMs <= builtMs)) return null;
  }
  mkdirSync(dirname(target), { recursive: true });
  const draft = `${target}.${process.pid}`;
  const args = [...rest.flags, '-o', draft, ...sources, ...rest.libraries];
  const failures: string[] = [];
  try {
    for (const compiler of rest.compilers) {
      const options = { encoding: 'utf8', timeout: COMPILE_MS_MAX } as const;
      const { status, stderr, error } = spawnSync(compiler, args, options);
      if (status === 0) {
        renameSync(draft, target);
        return null;
      }
      failures.push(error === undefined ? `${compiler}: ${stderr.trim().split('\n')[0]}` : error.message);
    }
    return failures;
  } finally {
    rmSync(draft, { force: true });
  }
}
