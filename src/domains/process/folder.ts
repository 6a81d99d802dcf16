/**
 * The service folder as a domain sees it: a writable folder of its own, in which everything that came with the
 * service is shown read-only. So a service can create files beside its code, and can change none of it.
 *
 * F1. State files, and the files SQLite keeps beside them, are never taken from the host.
 * F2. Nothing that holds the domain's own files (the data folder) is shown.
 * F3. Sockets, pipes and devices are not shown, nor what else is left out (`left-out.ts`). What of that lies deeper than what is
 *     bound one by one, the caller covers.
 */
import type { Dirent } from 'node:fs';
import { chown, copyFile, chmod, mkdir, readdir, readlink, stat, symlink } from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize } from 'node:path';

import { SpareError } from '../../errors.ts';
import { isLeftOut } from '../left-out.ts';
import { stateFiles } from '../state-files.ts';
import { contains } from './paths.ts';

/** An unprivileged user of the host that the processes of one domain run as. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Shown read-only: `source` on the host at `target` in the domain. */
export interface Bind {
  readonly source: string;
  readonly target: string;
}

export interface PrivateFolder {
  /** Real path of the service folder. */
  readonly folder: string;
  /** An existing, empty folder: what becomes the service folder. */
  readonly work: string;
  /** Relative to the service folder. */
  readonly state: readonly string[];
  /** Real path that must not be shown. */
  readonly hidden: string;
  /** Who must be able to write; the manager itself when absent. */
  readonly owner: Owner | undefined;
  /** `link`: entries become symlinks to the host's folder, for lack of a private mount view. */
  readonly entries: 'bind' | 'link';
}

/** Each bind makes starting slower, by the square of their number; beyond this, plain files are copied. */
const BINDS_MAX = 128;
const WORLD_READABLE = 0o004;

/** Fills `work`; answers what is to be bound, relative to the service folder. Throws `config-invalid`. */
export async function fillPrivateFolder(options: PrivateFolder): Promise<Bind[]> {
  const state = options.state.map((path) => {
    const relative = normalize(path);
    if (isAbsolute(relative) || relative === '..' || relative.startsWith('../')) {
      throw new SpareError('config-invalid', `The state file ${path} lies outside of the service folder.`, {
        hint: `Give its path relative to ${options.folder}.`,
      });
    }
    return relative;
  });
  await own(options.work, options.owner);
  const binds = await fill({ ...options, state }, '.');
  for (const path of state) await ownFolders(options, dirname(path));
  return binds;
}

async function fill(options: PrivateFolder, below: string): Promise<Bind[]> {
  const binds: Bind[] = [];
  const neverTaken = stateFiles(options.state, '.');
  const names = await readdir(join(options.folder, below), { withFileTypes: true });
  for (const entry of names) {
    const relative = join(below, entry.name);
    if (neverTaken.includes(relative)) continue;
    const source = join(options.folder, relative);
    if (contains(source, options.hidden) || isLeftOut(source, entry)) continue;
    if (options.state.some((path) => path.startsWith(`${relative}/`))) {
      await own(join(options.work, relative), options.owner);
      binds.push(...(await fill(options, relative)));
      continue;
    }
    const bind = await place(options, relative, entry, names.length > BINDS_MAX);
    if (bind !== undefined) binds.push(bind);
  }
  return binds;
}

async function place(
  options: PrivateFolder,
  relative: string,
  entry: Dirent,
  copies: boolean,
): Promise<Bind | undefined> {
  const source = join(options.folder, relative);
  const target = join(options.work, relative);
  if (entry.isSymbolicLink()) {
    await symlink(options.entries === 'link' ? source : await readlink(source), target);
  } else if (options.entries === 'link') {
    await symlink(source, target);
  } else if (entry.isFile() && (copies || !(await isReadable(source, options.owner)))) {
    await copyFile(source, target);
    await chmod(target, 0o444);
    if (options.owner !== undefined) await chown(target, options.owner.uid, options.owner.gid);
  } else {
    return { source, target: relative };
  }
  return undefined;
}

/** Whether the domain's user can read it; a file only its owner may read (a `.env`) would be out of its reach. */
async function isReadable(path: string, owner: Owner | undefined): Promise<boolean> {
  return owner === undefined || ((await stat(path)).mode & WORLD_READABLE) !== 0;
}

async function ownFolders(options: PrivateFolder, relative: string): Promise<void> {
  if (relative === '.') return;
  await ownFolders(options, dirname(relative));
  await own(join(options.work, relative), options.owner);
}

async function own(folder: string, owner: Owner | undefined): Promise<void> {
  await mkdir(folder, { recursive: true });
  if (owner !== undefined) await chown(folder, owner.uid, owner.gid);
}
