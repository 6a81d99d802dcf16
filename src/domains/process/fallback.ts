/**
 * The command lines of the weaker levels, for hosts without bubblewrap.
 *
 * `unshare` gives the domain its own pid, ipc, uts and, where `ip` is found, network namespace; the host's files
 * stay visible. `plain` gives it a session of its own and nothing else.
 */
import type { Prepared } from './prepare.ts';
import { type Command, withLimits } from './command.ts';
import { dyingWithParent, WITHOUT_RIGHTS } from './setpriv.ts';

export interface UnshareTools {
  readonly unshare: string;
  readonly setpriv: string;
  /** Without it the domain shares the host's network: its own loopback could not be brought up. */
  readonly ip: string | undefined;
}

/** Runs as the first process of the pid namespace: adopts and reaps orphans, ends with the agent. */
const FIRST = `hostname replica 2>/dev/null
[ "$1" = - ] || "$1" link set lo up || exit 1
shift
"$@"
exit $?`;

export function unshareCommand(tools: UnshareTools, prepared: Prepared): Command {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const network = tools.ip === undefined ? [] : ['--net'];
  const namespaces = ['--pid', '--mount', '--ipc', '--uts', ...network, '--mount-proc', '--fork'];
  const first = ['--kill-child=KILL', '--', '/bin/sh', '-c', FIRST, 'sh', tools.ip ?? '-'];
  return {
    argv: [
      ...dyingWithParent(tools.setpriv),
      tools.unshare,
      ...user,
      ...namespaces,
      ...first,
      tools.setpriv,
      ...WITHOUT_RIGHTS,
      '--',
      ...withLimits(prepared.limits, user.length > 0, prepared.command),
    ],
  };
}

export function plainCommand(setpriv: string | undefined, prepared: Prepared): Command {
  const start = setpriv === undefined ? [] : dyingWithParent(setpriv);
  return { argv: [...start, ...withLimits(prepared.limits, false, prepared.command)] };
}
