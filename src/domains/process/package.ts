/**
 * The parts of Spare itself that the agent needs inside a domain: its code, what it built, and its dependencies.
 * Nothing else of the package's folder is shown; the data folder often lies in it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { compiledAgent } from '../../replica/compiled.ts';
import { contains, withAncestors } from './paths.ts';

/** The folder of Spare itself. */
export const ROOT: string = packageRoot(import.meta.dirname);

/** Where the agent starts: compiled, if that is to be had. */
export const DEFAULT_AGENT: string =
  compiledAgent(ROOT) ?? join(import.meta.dirname, '../../replica/agent.ts');

/** What of Spare runs in a domain, below `ROOT`, as far as it was built; besides, there are the dependencies. */
export const AGENT_PARTS: readonly string[] = [
  'package.json',
  'src/replica',
  'src/wire',
  'src/errors.ts',
  'src/node-http.ts',
  'dist',
  'build/spare-preload.so',
];

function packageRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) || folder === '/' ? folder : packageRoot(dirname(folder));
}

interface PackageManifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

/** The Node that comes with Spare (`bin/spare.mjs`): of that nothing is needed but the program, and only where that is the one that runs. */
const NODE = `node-${process.platform}-${process.arch}`;

/** The folders of all packages that the one in `folder` needs at run time, as far as they are installed, besides those `found`. */
export function dependenciesOf(folder: string, found: Set<string> = new Set()): Set<string> {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageManifest;
  const { dependencies, optionalDependencies, peerDependencies = {}, peerDependenciesMeta } = manifest;
  const peers = Object.keys(peerDependencies).filter(
    (name) => peerDependenciesMeta?.[name]?.optional !== true,
  );
  for (const name of [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers]) {
    const dependency = withAncestors(folder)
      .map((above) => join(above, 'node_modules', name))
      .find(existsSync);
    if (dependency === undefined || name === NODE || found.has(dependency)) continue;
    found.add(dependency);
    dependenciesOf(dependency, found);
  }
  return found;
}

/** Absolute paths, to be shown read-only. */
export function packagePaths(agent: string): string[] {
  const own = AGENT_PARTS.map((name) => join(ROOT, name)).filter(existsSync);
  const outside = own.some((path) => contains(path, agent)) ? [] : [dirname(agent)];
  return [...own, ...dependenciesOf(ROOT), ...outside, dirname(process.execPath)];
}
