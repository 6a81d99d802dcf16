/**
 * What lies in a service folder and is no part of the service: version control, what groups of Spare keep, and their configuration.
 * It is not measured, so it may change; therefore no domain sees it: what somebody puts there changes nothing in a replica. Also
 * sockets, pipes and devices, because a read-only mount does not keep anybody from talking to them.
 *
 * A link counts as what it says, whatever its name: it leads only to what is shown anyway.
 */
import type { Stats } from 'node:fs';
import { basename } from 'node:path';
import { isDataFolder } from '../data-folder.ts';

/** Written by tools that look at a service, not by who changes it. */
const VERSION_CONTROL = new Set(['.git', '.hg', '.svn', '.jj']);

/** What of it a replica runs by, its command and environment, is compared by itself. */
const CONFIGURATION = /^spare\.config\.[cm]?[jt]s$/;

/** `found`: what `lstat`, or the entry of its folder, says of it. */
export function isLeftOut(
  path: string,
  found: Pick<Stats, 'isSymbolicLink' | 'isDirectory' | 'isFile'>,
): boolean {
  if (found.isSymbolicLink()) return false;
  const name = basename(path);
  if (VERSION_CONTROL.has(name) || (found.isFile() && CONFIGURATION.test(name))) return true;
  return found.isDirectory() ? isDataFolder(path) : !found.isFile();
}
