/** Questions about paths that more than one part of the driver asks. All paths are absolute and normalised. */
import { accessSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Whether `inner` is `outer` or lies below it. */
export function contains(outer: string, inner: string): boolean {
  return outer === inner || inner.startsWith(outer.endsWith('/') ? outer : `${outer}/`);
}

export function exists(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A program of the system, also when the manager's PATH lacks the administrator's folders. */
export function findTool(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  return folders
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, name))
    .find(exists);
}
