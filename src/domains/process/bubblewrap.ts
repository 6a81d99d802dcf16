/**
 * The command line that starts a domain with bubblewrap, in three forms:
 *
 * - `user`: the manager is not root. One bubblewrap in a user namespace of its own.
 * - `nested`: the manager is root. An outer bubblewrap only makes the mount view, as root, because the data folder
 *   and a service below /root are out of an unprivileged user's reach. It drops to a user that owns nothing on
 *   the host and has no other domain, and that one starts an inner bubblewrap which isolates the rest in a user
 *   namespace. So every replica sees uid 1000, and none has a right on the host.
 * - `root`: the manager is root where nesting is forbidden (a container that masks /proc, a system without user
 *   namespaces for users). One bubblewrap as root; the user is dropped to inside, its number shows in the domain,
 *   and nothing keeps it from creating user namespaces of its own.
 *
 * B1. Everything writable is bounded: the root, /dev and all of the view are read-only but for the sized tmpfs
 *     /tmp, /run/spare and /dev/shm, and the private service folder.
 * B2. The processes between manager and domain are one process group; when it is killed, the pid namespace goes
 *     along. They also die with their parents, except that, nested, the outer one may not signal the inner one.
 * B3. The limits hold for the first process of the namespace, too, but in the form `user` for the number of its threads: it belongs to
 *     the domain's user, so the domain can take it over. In the form `root` it does not.
 * B4. What the kernel has no namespace for, and a filter of system calls can keep apart, is out of reach (`filter.ts`).
 */
import { existsSync, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { DOMAIN_FILTER } from './filter.ts';
import { contains, SYSTEM_FOLDERS, withAncestors } from './paths.ts';
import type { Prepared } from './prepare.ts';
import { type Command, withLimits } from './command.ts';
import { asOwner } from './setpriv.ts';

export type BubblewrapForm = 'user' | 'nested' | 'root';

const MIB = 1024 * 1024;
const TMP_BYTES = 64 * MIB;
const RUN_BYTES = 16 * MIB;
const SHM_BYTES = 64 * MIB;
const ETC = [
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'ssl',
  'pki',
  'ca-certificates',
  'ca-certificates.conf',
  'alternatives',
  'mime.types',
];
/** Settings of interpreters, which distributions keep there (`java-17-openjdk`, `php`): without its own, Java does not start. */
const ETC_INTERPRETERS = /^(java|perl|php|python|ruby)/;
const ETC_OWN = ['passwd', 'group', 'hosts', 'hostname', 'nsswitch.conf'];

/** Read-only: through it a domain would take back that the kernel ends it first, and that it starts behind those that serve. */
const PROC = ['--proc', '/proc', '--remount-ro', '/proc'];

export interface BubblewrapTools {
  readonly bwrap: string;
  /** Needed unless the form is `user`. */
  readonly setpriv: string | undefined;
}

export function bubblewrapCommand(form: BubblewrapForm, tools: BubblewrapTools, prepared: Prepared): Command {
  const view = {
    channelArguments: [...viewArguments(form, prepared), '--remount-ro', '/'],
    filter: DOMAIN_FILTER,
  };
  const limited = (ownUser: boolean, command: readonly string[]): string[] =>
    withLimits(prepared.limits, ownUser, command);
  const inside = limited(true, prepared.command);
  const start = [tools.bwrap, '--args', '4', '--die-with-parent'];
  // It makes a session for the domain before it puts the filter on, with which nobody makes another one.
  const filter = ['--seccomp', '5'];
  const { owner } = prepared;
  const drop = owner === undefined ? [] : asOwner(tools.setpriv ?? 'setpriv', owner);
  const home = ['--chdir', prepared.folder];
  const namespaces = ['--unshare-all', '--hostname', 'replica', '--new-session'];
  const user = ['--unshare-user', '--disable-userns', '--uid', '1000', '--gid', '1000'];
  switch (form) {
    case 'user':
      return {
        ...view,
        argv: limited(false, [...start, ...filter, ...namespaces, ...user, ...home, '--', ...inside]),
      };
    case 'nested': {
      const inner = [tools.bwrap, ...filter, '--die-with-parent', ...namespaces, ...user];
      const mounts = ['--bind', '/', '/', ...PROC, ...devArguments()];
      const first = limited(true, [...inner, ...mounts, ...home, '--', ...prepared.command]);
      return { ...view, argv: [...start, '--', ...drop, ...first] };
    }
    case 'root': {
      const each = [
        '--unshare-pid',
        '--unshare-net',
        '--unshare-ipc',
        '--unshare-uts',
        '--unshare-cgroup-try',
      ];
      const rights = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'].flatMap((name) => ['--cap-add', name]);
      const own = [...each, ...namespaces.slice(1), '--cap-drop', 'ALL', ...rights];
      return { ...view, argv: [...start, ...filter, ...own, ...home, '--', ...drop, ...inside] };
    }
  }
}

function devArguments(): string[] {
  return ['--dev', '/dev', ...tmpfs('/dev/shm', SHM_BYTES), '--remount-ro', '/dev'];
}

function tmpfs(path: string, bytes: number): string[] {
  return ['--perms', '1777', '--size', String(bytes), '--tmpfs', path];
}

function viewArguments(form: BubblewrapForm, prepared: Prepared): string[] {
  const etc = [...ETC, ...readdirSync('/etc').filter((name) => ETC_INTERPRETERS.test(name))];
  const own = ETC_OWN.flatMap((name) => ['--ro-bind', join(prepared.etc, name), `/etc/${name}`]);
  return [
    ...SYSTEM_FOLDERS.flatMap(systemArguments),
    // Nested, the inner one may only mount /proc if the view holds one with nothing covered.
    ...(form === 'nested' ? ['--bind', '/proc', '/proc'] : PROC),
    ...(form === 'nested' ? ['--dev', '/dev'] : devArguments()),
    ...tmpfs('/tmp', TMP_BYTES),
    ...folderArguments('/run'),
    ...tmpfs('/run/spare', RUN_BYTES),
    ...folderArguments('/etc'),
    ...etc.flatMap((name) => ['--ro-bind-try', `/etc/${name}`, `/etc/${name}`]),
    ...own,
    '--symlink',
    '/usr/share/zoneinfo/UTC',
    '/etc/localtime',
    ...pathArguments(prepared),
  ];
}

/** Read-only folders first, then what hides the data folder in them, the service folder on top, then what covers parts of all. */
function pathArguments(prepared: Prepared): string[] {
  const shown = prepared.readOnly.filter((path) => !SYSTEM_FOLDERS.some((system) => contains(system, path)));
  const exposed = [...shown, ...SYSTEM_FOLDERS].some((path) => contains(path, prepared.hidden));
  return [
    ...shown.flatMap((path) => folderArguments(dirname(path)).concat('--ro-bind', path, path)),
    ...(exposed ? ['--perms', '0000', '--size', '4096', '--tmpfs', prepared.hidden] : []),
    ...folderArguments(dirname(prepared.folder)),
    '--bind',
    prepared.work,
    prepared.folder,
    ...prepared.entries.flatMap(({ source, target }) => ['--ro-bind', source, join(prepared.folder, target)]),
    ...prepared.covers.flatMap(({ source, target }) => ['--ro-bind', source, target]),
  ];
}

/** Makes a folder and those above it readable for all; bubblewrap's own choice is readable for root only. */
function folderArguments(folder: string): string[] {
  return withAncestors(folder)
    .slice(0, -1)
    .toReversed()
    .flatMap((path) => ['--perms', '0755', '--dir', path]);
}

function systemArguments(path: string): string[] {
  if (!existsSync(path)) return [];
  return lstatSync(path).isSymbolicLink()
    ? ['--symlink', readlinkSync(path), path]
    : ['--ro-bind', path, path];
}
