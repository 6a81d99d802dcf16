/**
 * Everything about one domain that does not depend on how it is isolated: the files it needs on the host, what it
 * may see, its environment and the command that starts the agent.
 */
import { lstatSync } from 'node:fs';
import { mkdir, realpath, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';

import { SpareError } from '../../errors.ts';
import type { DomainLimits, DomainSpec } from '../domain.ts';
import { findExecutable } from './executable.ts';
import { type Bind, fillPrivateFolder, type Owner } from './folder.ts';
import { packagePaths } from './package.ts';
import { contains, librariesAbove, outermost } from './paths.ts';

export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Prepared {
  /** The service folder as seen inside. */
  readonly folder: string;
  /** Host folder that becomes the service folder. */
  readonly work: string;
  /** Shown read-only inside the service folder; targets are relative to it. */
  readonly entries: readonly Bind[];
  /** Shown in place of what lies in what is shown and is not to be seen; targets are absolute. */
  readonly covers: readonly Bind[];
  /** Host paths shown read-only under the same path, none inside another one or inside the service folder. */
  readonly readOnly: readonly string[];
  /** Host folder with the files for `/etc`. */
  readonly etc: string;
  /** The folder with the files of all domains; never shown, whatever shows its surroundings. */
  readonly hidden: string;
  /** The whole environment, `SPARE_RUN` and `SPARE_WORK` included. */
  readonly env: Readonly<Record<string, string>>;
  /** What runs in the domain. */
  readonly command: readonly string[];
  readonly limits: DomainLimits;
  readonly owner: Owner | undefined;
}

export interface PrepareOptions {
  /** A mount view of its own, or only a private folder with symlinks. */
  readonly privateView: boolean;
  readonly owner: Owner | undefined;
  /** The agent's entry file, or nothing for a trial start that runs `true`. */
  readonly agent: string | undefined;
}

/** Throws `command-not-found`, `service-folder-missing`, `config-invalid` or `domain-start-failed`. */
export async function prepare(spec: DomainSpec, options: PrepareOptions): Promise<Prepared> {
  const { image, leftOut = [] } = spec;
  const folder = await realpath(image.folder).catch((cause: unknown) => {
    throw new SpareError('service-folder-missing', `The service folder ${image.folder} cannot be opened.`, {
      hint: 'It must exist and be readable.',
      cause,
    });
  });
  const target = resolve(image.folder);
  const directory = await realpath(spec.directory);
  const hidden = dirname(directory);
  const program = image.command[0] ?? '';
  const executable = findExecutable(program, folder, process.env['PATH'] ?? SYSTEM_PATH, [directory]);
  const work = join(directory, 'work');
  await mkdir(work);
  const entries = await fillPrivateFolder({
    folder,
    work,
    state: image.state,
    hidden: directory,
    owner: options.owner,
    entries: options.privateView ? 'bind' : 'link',
  });
  const etc = await writeEtc(join(directory, 'etc'), options.owner);
  const readOnly = outermost([
    ...executable.needed,
    ...(options.agent === undefined ? [] : packagePaths(options.agent)),
    ...librariesAbove(target),
  ]).filter((path) => !contains(target, path));
  if (options.privateView && options.owner !== undefined) await checkReadable(readOnly);
  const covers = await cover(leftOut, join(directory, 'covers'), [
    ...entries.map((entry) => ({ source: entry.source, target: join(target, entry.target) })),
    ...(await Promise.all(readOnly.map(async (path) => ({ source: await realpath(path), target: path })))),
  ]);
  const run = options.privateView ? '/run/spare' : join(directory, 'run');
  if (!options.privateView) await mkdir(run, { mode: 0o700 });
  return {
    folder: options.privateView ? target : work,
    work,
    entries,
    covers,
    readOnly,
    etc,
    hidden,
    env: environment(dirname(executable.path), run, options.privateView ? target : work),
    command: options.agent === undefined ? ['true'] : [process.execPath, ...AGENT_FLAGS, options.agent],
    limits: spec.limits,
    owner: options.owner,
  };
}

/** The agent does little and often: collecting garbage in threads of its own costs it more than it gains. */
export const AGENT_FLAGS: readonly string[] = ['--max-semi-space-size=16', '--single-threaded-gc'];

/** Of the agent, and so of the service. */
export function environment(programFolder: string, run: string, work: string): Record<string, string> {
  const isSystem = SYSTEM_PATH.split(':').includes(programFolder);
  return {
    PATH: isSystem ? SYSTEM_PATH : `${programFolder}:${SYSTEM_PATH}`,
    HOME: '/tmp',
    LANG: 'C.UTF-8',
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
    SPARE_RUN: run,
    SPARE_WORK: work,
  };
}

/** An empty file or folder for each of these paths that is in what is shown; the two are made in `folder`. */
async function cover(paths: readonly string[], folder: string, shown: readonly Bind[]): Promise<Bind[]> {
  const empty = { folder: join(folder, 'folder'), file: join(folder, 'file') };
  await mkdir(empty.folder, { recursive: true });
  await writeFile(empty.file, '');
  return paths.flatMap((path) => {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return [];
    const source = found.isDirectory() ? empty.folder : empty.file;
    const within = shown.filter((bind) => contains(bind.source, path));
    return within.map((bind) => ({ source, target: join(bind.target, relative(bind.source, path)) }));
  });
}

/** The domain's user is nobody on the host: what it shall run must be readable for all. */
async function checkReadable(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const found = await stat(path);
    const needed = found.isDirectory() ? 0o005 : 0o004;
    if ((found.mode & needed) === needed) continue;
    throw new SpareError(
      'domain-start-failed',
      `${path} is not readable for the user that services run as.`,
      {
        hint: `Started by root, Spare runs services as a user without any rights. Try: chmod -R go+rX ${path}`,
      },
    );
  }
}

/** What `/etc` says, by file name: the same in every domain, so nothing of the host's users and names is seen. */
export function etcFiles(uids: Iterable<number>): Record<string, string> {
  const users = [...uids].map((uid) => `replica:x:${uid}:${uid}:replica:/tmp:/bin/sh\n`).join('');
  const groups = [...uids].map((uid) => `replica:x:${uid}:\n`).join('');
  return {
    passwd: `root:x:0:0:root:/root:/usr/sbin/nologin\n${users}nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n`,
    group: `root:x:0:\n${groups}nogroup:x:65534:\n`,
    hosts: '127.0.0.1 localhost replica\n::1 localhost replica\n',
    hostname: 'replica\n',
    'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files\n',
  };
}

async function writeEtc(etc: string, owner: Owner | undefined): Promise<string> {
  const files = etcFiles(new Set([1000, owner?.uid ?? 1000]));
  await mkdir(etc);
  for (const [name, text] of Object.entries(files)) await writeFile(join(etc, name), text, { mode: 0o644 });
  return etc;
}
