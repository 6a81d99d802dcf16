/**
 * Finds the service's program the way a shell would, and what must be visible inside a domain to run it: version
 * managers (nvm, pyenv, uv) keep programs in the user's home, which is not part of the system.
 *
 * X1. Never names a folder that holds the user's home, the service folder or the domain's own files: such a
 *     folder is narrowed down to the program's folder, then to the program.
 */
import { accessSync, constants, lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

import { SpareError } from '../../errors.ts';
import { contains } from './paths.ts';

export interface Executable {
  /** Absolute path under which the program was found, possibly a symlink; of the folder, the real one if it was searched. */
  readonly path: string;
  /** Absolute paths needed to run it; may lie in folders that are visible anyway. */
  readonly needed: readonly string[];
}

const PROGRAM_FOLDERS = new Set(['bin', 'sbin', 'shims']);
const LINKS_MAX = 16;

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The path itself, then what it links to, hop by hop, then its real path. */
function links(path: string): string[] {
  const hops = [path];
  for (let hop = path; hops.length < LINKS_MAX && lstatSync(hop).isSymbolicLink();) {
    hop = resolve(realpathSync(dirname(hop)), readlinkSync(hop));
    hops.push(hop);
  }
  return [...hops, realpathSync(path)];
}

/**
 * Through `searchPath` (as in the environment variable), or relative to `folder` when `program` is a path. `purpose`: what it is
 * for, "to …". Throws `command-not-found`.
 */
export function locate(program: string, folder: string, searchPath: string, purpose: string): string {
  const isPath = program.includes('/');
  const folders = isPath ? [folder] : searchPath.split(':').filter((part) => part.startsWith('/'));
  const found = folders.map((place) => resolve(place, program)).find(isExecutable);
  if (found !== undefined) return found;
  throw new SpareError('command-not-found', `There is no program \`${program}\` ${purpose}.`, {
    hint: isPath
      ? `It was looked for at ${resolve(folder, program)}; it must exist and be executable.`
      : `Install it, or give its path; it was looked for in PATH: ${searchPath}`,
  });
}

/** Resolves `command[0]` of a service. `hidden` must not become visible. Throws `command-not-found`. */
export function findExecutable(
  program: string,
  folder: string,
  searchPath: string,
  hidden: readonly string[],
): Executable {
  const found = locate(program, folder, searchPath, 'to start the service with');
  // A domain is shown folders, not the links to them: what is relative in one would lead elsewhere there.
  const path = program.includes('/') ? found : join(realpathSync(dirname(found)), basename(found));
  const home = homedir();
  const isBroad = (candidate: string): boolean =>
    candidate === '/' ||
    candidate === join(home, '.local') ||
    [home, folder, ...hidden].some((inner) => contains(candidate, inner));
  const needed = links(path).map((hop) => {
    const parent = dirname(hop);
    const prefix = PROGRAM_FOLDERS.has(basename(parent)) ? dirname(parent) : parent;
    return [prefix, parent].find((candidate) => !isBroad(candidate)) ?? hop;
  });
  return { path, needed: [...new Set(needed)] };
}
