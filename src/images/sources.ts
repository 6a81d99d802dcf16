/**
 * Which files of the host a domain starts from: what is shown of the service, of the program that runs it, and of Spare itself.
 *
 * The folders of the system (`/usr`, `/lib` and so on) do not count as a whole, only the programs in them that are named: they
 * change with every update of the host, are too large to be read, and are the host's, which is trusted.
 */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { ServiceImage } from '../domains/domain.ts';
import { findExecutable } from '../domains/process/executable.ts';
import { AGENT_PARTS, dependenciesOf, ROOT } from '../domains/process/package.ts';
import { contains, librariesAbove, SYSTEM_FOLDERS } from '../domains/process/paths.ts';
import { stateFiles } from '../domains/state-files.ts';
import type { Source } from './manifest.ts';

function isSystem(path: string): boolean {
  return [...SYSTEM_FOLDERS, '/etc'].some((folder) => contains(folder, path));
}

function runtimeOf({ command, folder, oci }: ServiceImage, dataFolder: string): string[] {
  if (oci !== undefined) return [];
  const { path, needed } = findExecutable(command[0] ?? '', folder, process.env['PATH'] ?? '', [dataFolder]);
  const shown = needed.filter((each) => !isSystem(each));
  return [path, realpathSync(path), ...shown];
}

/** What a virtual machine has of the host besides: of the system, too, what is named itself. */
function includedIn({ include = [] }: ServiceImage): string[] {
  const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  return include.filter((path) => !isSystem(path) || isFile(path));
}

/** What exists of them, by its real path: what a link leads to counts, and is shown. */
function part(name: Source['part'], paths: readonly string[], without: readonly string[]): Source[] {
  return paths.filter(existsSync).map((path) => ({ part: name, path: realpathSync(path), without }));
}

function serviceOf({ folder, state }: ServiceImage, data: string): Source[] {
  const real = realpathSync(folder);
  const paths = [folder, ...librariesAbove(resolve(folder)).filter((path) => !isSystem(path))];
  return part('service', paths, [...stateFiles(state, real), data]);
}

/** Throws `command-not-found`. A file that several of them hold counts for the first. */
export function sourcesOf(images: readonly ServiceImage[], dataFolder: string): Source[] {
  const data = existsSync(dataFolder) ? realpathSync(dataFolder) : dataFolder;
  const installed = [...dependenciesOf(ROOT), dirname(process.execPath)].filter((path) => !isSystem(path));
  const agent = [...AGENT_PARTS.map((name) => join(ROOT, name)), ...installed, process.execPath];
  return [
    ...part('agent', agent, [data]),
    ...images.flatMap((image) =>
      image.oci === undefined ? serviceOf(image, data) : part('service', [image.oci], []),
    ),
    ...images.flatMap((image) => part('runtime', [...runtimeOf(image, data), ...includedIn(image)], [data])),
  ];
}
