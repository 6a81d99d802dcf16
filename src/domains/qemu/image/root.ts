/**
 * What is in the root of a guest: the agent with the Node that runs it, the service with the program that runs it, the
 * libraries of both, and a few files of `/etc`. No shell, no tools, no package manager, unless the service brings them or
 * they are included by name.
 *
 * R1. State files, and what SQLite keeps beside them, are never in it; nor are the data folder and what is no part of the service.
 * R2. The service folder, its program and what is included have the same paths as on the host.
 */
import { existsSync, lstatSync, realpathSync, statSync } from 'node:fs';
import { dirname, extname, join, relative, resolve } from 'node:path';

import { messageOf, SpareError } from '../../../errors.ts';
import type { ServiceImage } from '../../domain.ts';
import { isLeftOut } from '../../left-out.ts';
import { findExecutable } from '../../process/executable.ts';
import { AGENT_PARTS, dependenciesOf, ROOT } from '../../process/package.ts';
import { contains, outermost, withAncestors } from '../../process/paths.ts';
import { AGENT_FLAGS, environment, etcFiles, SYSTEM_PATH } from '../../process/prepare.ts';
import { stateFiles } from '../../state-files.ts';
import { type FileTree, headOf, librariesOf, type Skip } from './tree.ts';

export interface RootSource {
  readonly service: ServiceImage;
  /** The agent's entry file, an absolute path. */
  readonly agent: string;
  /** Never shown, wherever it lies: the data folder. */
  readonly hidden: string;
}

export interface Root {
  readonly tree: FileTree;
  /** What the guest's first process starts, with which environment, and where. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
}

/** Where the guest's first process looks for what the service came with (`replica/guest/root.c`). */
const SERVICE = '/spare/service';
const AGENT = '/spare/agent';
const RUNTIME = '/spare/runtime';
const TEST = /\.test\.[jt]s$/;
const FOLDERS = ['/dev', '/proc', '/sys', '/run', '/tmp', '/etc'];
const RUN = '/run/spare';
const LOCALE = '/usr/lib/locale/C.utf8';
/** Programs that a script may name to be found in PATH. */
const FINDER = '/usr/bin/env';
const SCRIPT_HEAD_BYTES = 256;

/**
 * `tree`: what the layers of a container image have, and nothing of a service of this host. Throws `image-build-failed`,
 * `command-not-found`, `service-folder-missing` or `config-invalid`.
 */
export function collectRoot(source: RootSource, tree: FileTree): Root {
  const { oci } = source.service;
  for (const path of FOLDERS) tree.folder(path);
  for (const [name, text] of Object.entries(etcFiles([1000])))
    tree.set(`/etc/${name}`, { type: 'text', text });
  if (existsSync(LOCALE) && oci === undefined) tree.show(LOCALE);
  for (const path of source.service.include ?? []) include(tree, path, source);
  const isHost = oci === undefined;
  const programFolder = isHost ? addProgram(tree, source) : '/usr/bin';
  if (isHost) addService(tree, source);
  else addLayered(tree, source.service);
  addState(tree, source.service);
  addAgent(tree, source.agent);
  const runtime = isHost ? addNode(tree) : addRuntime(tree);
  const folder = resolve(source.service.folder);
  return {
    tree,
    argv: [...runtime, ...AGENT_FLAGS, agentPath(source.agent)],
    env: environment(programFolder, RUN, folder),
    folder,
  };
}

function include(tree: FileTree, path: string, { hidden }: RootSource): void {
  try {
    tree.show(path, isHidden(hidden));
  } catch (cause) {
    throw new SpareError('image-build-failed', `${path} cannot be included: ${messageOf(cause)}.`, {
      hint: '`include` names files and folders of this host, with absolute paths.',
      cause,
    });
  }
}

/** What lies in a folder and is not shown with it (R1). */
function isHidden(hidden: string): Skip {
  return (path) => contains(path, hidden) || isLeftOut(path, lstatSync(path));
}

function addService(tree: FileTree, { service, hidden }: RootSource): void {
  const target = resolve(service.folder);
  const folder = realpathSync(target);
  const state = new Set(stateFiles(service.state, folder));
  const skip = isHidden(hidden);
  tree.folder(SERVICE).copy(folder, SERVICE, (path) => state.has(path) || skip(path));
  for (const path of dependenciesAbove(folder)) {
    tree.copy(realpathSync(path), path, (inner) => skip(inner) || contains(target, inner));
  }
}

function addLayered(tree: FileTree, service: ServiceImage): void {
  tree.move(resolve(service.folder), SERVICE);
  for (const path of stateFiles(service.state, SERVICE)) tree.remove(path);
}

/** The folders that state files lie in can be written; those in the image are not to be. */
function addState(tree: FileTree, service: ServiceImage): void {
  tree.folder(resolve(service.folder)).folder(SERVICE);
  for (const file of service.state) {
    for (const path of withAncestors(join(SERVICE, dirname(file)))) {
      if (path !== SERVICE && contains(SERVICE, path)) tree.folder(path, true);
    }
  }
}

/** What the service's package depends on and that is installed above it, as in a workspace. */
function dependenciesAbove(folder: string): string[] {
  const home = withAncestors(folder).find((above) => existsSync(join(above, 'package.json')));
  const found = home === undefined ? [] : [...dependenciesOf(home)];
  return outermost(found.filter((path) => !contains(folder, path)));
}

/** The service's program and, for a script, what it names to be run by. Answers the folder that it was found in. */
function addProgram(tree: FileTree, { service, hidden }: RootSource): string {
  const searchPath = process.env['PATH'] ?? SYSTEM_PATH;
  const find = (program: string): string => {
    const { path, needed } = findExecutable(program, service.folder, searchPath, [hidden]);
    const isNode = realpathSync(path) === realpathSync(process.execPath);
    const isShared = (candidate: string): boolean =>
      ['/usr', '/usr/local', '/bin', '/sbin'].some((system) => contains(candidate, system));
    const broad = isNode || needed.some(isShared) || contains(resolve(service.folder), path);
    if (!contains(resolve(service.folder), path)) tree.show(path);
    if (!broad) for (const folder of needed) tree.show(folder, (inner) => contains(inner, hidden));
    for (const named of interpreterOf(path)) find(named);
    return dirname(path);
  };
  return find(service.command[0] ?? '');
}

/** `#!/usr/bin/env node` names both. */
function interpreterOf(path: string): string[] {
  const head = headOf(path, SCRIPT_HEAD_BYTES).toString('latin1');
  const [, line] = /^#!\s*([^\n]+)/.exec(head) ?? [];
  if (line === undefined) return [];
  const [interpreter = '', ...words] = line.trim().split(/\s+/);
  const named = words.find((word) => !word.startsWith('-'));
  return interpreter === FINDER && named !== undefined ? [interpreter, named] : [interpreter];
}

/** The parts of Spare that run inside a domain. */
function addAgent(tree: FileTree, agent: string): void {
  for (const part of AGENT_PARTS) {
    const path = join(ROOT, part);
    if (existsSync(path)) tree.copy(path, join(AGENT, part), (inner) => TEST.test(inner));
  }
  tree.copy(agent, agentPath(agent));
  for (const path of dependenciesOf(ROOT)) {
    tree.copy(realpathSync(path), join(AGENT, path.slice(path.lastIndexOf('/node_modules/') + 1)));
  }
}

function agentPath(agent: string): string {
  return contains(ROOT, agent) ? join(AGENT, relative(ROOT, agent)) : join(AGENT, `agent${extname(agent)}`);
}

function addNode(tree: FileTree): string[] {
  tree.show(process.execPath);
  return [process.execPath];
}

/** The agent's Node with libraries of its own, where those of the root may be other ones. */
function addRuntime(tree: FileTree): string[] {
  const [loader = '', ...libraries] = librariesOf(process.execPath);
  for (const library of [loader, ...libraries]) {
    tree.copy(realpathSync(library), join(RUNTIME, library.slice(library.lastIndexOf('/'))));
  }
  tree.copy(realpathSync(process.execPath), join(RUNTIME, 'node'));
  const at = join(RUNTIME, loader.slice(loader.lastIndexOf('/')));
  if (statSync(loader).isFile()) return [at, '--library-path', RUNTIME, join(RUNTIME, 'node')];
  return [join(RUNTIME, 'node')];
}
