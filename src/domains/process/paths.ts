/** Questions about paths and programs of the host that more than one part asks. All paths are absolute and normalised. */
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/** Folders of programs and their libraries that domains see as they are on the host, which is trusted with them: none is measured. */
export const SYSTEM_FOLDERS: readonly string[] = [
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib32',
  '/lib64',
  '/libx32',
];

/** Whether `inner` is `outer` or lies below it. */
export function contains(outer: string, inner: string): boolean {
  return outer === inner || inner.startsWith(outer.endsWith('/') ? outer : `${outer}/`);
}

/** `folder` and all folders above it. */
export function withAncestors(folder: string): string[] {
  return folder === '/' ? ['/'] : [folder, ...withAncestors(dirname(folder))];
}

/** Where a service in `folder` finds packages that are not in it. */
export function librariesAbove(folder: string): string[] {
  return withAncestors(dirname(folder))
    .map((above) => join(above, 'node_modules'))
    .filter(existsSync);
}

/** Those that lie in none of the others, each once. */
export function outermost(paths: readonly string[]): string[] {
  const unique = [...new Set(paths)];
  return unique.filter((path) => !unique.some((other) => other !== path && contains(other, path)));
}

/** A program of the system, also when the manager's PATH lacks the administrator's folders. */
export function findTool(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  return folders
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, name))
    .find(existsSync);
}
