/** Command lines that start a program through `setpriv`, with less than the manager has. */
import type { Owner } from './folder.ts';

/** It gets none back, whatever it runs. */
export const WITHOUT_RIGHTS: readonly string[] = ['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'];

/** It is killed with its parent; `rights`: arguments on what it may. */
export function dyingWithParent(setpriv: string, rights: readonly string[] = []): string[] {
  return [setpriv, ...rights, '--pdeathsig', 'KILL', '--'];
}

/** It is a user of the host without any right, and is killed with its parent. */
export function asOwner(setpriv: string, { uid, gid }: Owner): string[] {
  const user = ['--reuid', String(uid), '--regid', String(gid), '--clear-groups'];
  return dyingWithParent(setpriv, [...user, ...WITHOUT_RIGHTS]);
}
