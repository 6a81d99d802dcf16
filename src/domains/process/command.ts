/** The command line of a domain, and the resource limits that every level of isolation puts on it. */
import type { ChildProcess } from 'node:child_process';
import { release } from 'node:os';

import { feed } from '../../spawn.ts';
import type { DomainLimits } from '../domain.ts';

export interface Command {
  /** Program (absolute path) and arguments. */
  readonly argv: readonly string[];
  /** Further arguments, read by the program from fd 4 as NUL-terminated strings: there may be thousands. */
  readonly channelArguments?: readonly string[];
  /** A filter of system calls, read by the program from fd 5. */
  readonly filter?: Buffer;
}

/** Many, because services leave closing to their garbage collector; a lower limit of the host stays. */
const FILES_MAX = 65_536;
const FILE_BYTES_MAX = 16 * 1024 ** 3;
/**
 * What a process maps but does not use, stacks and the reserve of allocators: 570 MiB in a Node that just started.
 * So this only bounds what can be taken between two looks of the watchdog, which counts what is resident.
 */
const DATA_SLACK_BYTES = 1024 ** 3;
/** The system counts threads, not processes. */
const THREADS_PER_PROCESS = 16;
const THREADS_SPARE = 64;

/** `-u` in bash, `-p` in dash and busybox. A limit that the host has set lower stays. */
const SCRIPT = [
  'ulimit -c 0',
  'ulimit -n "$1" || ulimit -n "$(ulimit -H -n)"',
  'ulimit -f "$2"',
  'ulimit -d "$3"',
  '[ "$4" = - ] || ulimit -u "$4" || ulimit -p "$4"',
].map((line) => `{ ${line}; } 2>/dev/null`);

const WEIGHT = '/proc/self/oom_score_adj';
/** In thousandths of all memory; a thousand is the most. */
const ENDED_FIRST = `read -r own <${WEIGHT} && echo $((own > 500 ? 1000 : own + 500)) >${WEIGHT}`;

/**
 * Runs `command` under the limits. `ownUser`: the number of processes is counted for this domain alone, so that
 * a limit on it cannot be used up by somebody else. `fileBytes`: the most that it may write to a file, a multiple of 512.
 */
export function withLimits(
  limits: DomainLimits,
  ownUser: boolean,
  command: readonly string[],
  fileBytes: number = FILE_BYTES_MAX,
): string[] {
  const threads = limits.processes * THREADS_PER_PROCESS + THREADS_SPARE;
  return [
    '/bin/sh',
    '-c',
    `${SCRIPT.join('; ')}; shift 4; exec "$@"`,
    'sh',
    String(FILES_MAX),
    String(fileBytes / 512),
    String(Math.ceil((limits.memoryBytes + DATA_SLACK_BYTES) / 1024)),
    ownUser && countsPerNamespace() ? String(threads) : '-',
    ...command,
  ];
}

/**
 * Runs `command` as one that the kernel ends, when memory is short, before who has half of the memory more: a manager may be larger than
 * a domain, but with it all domains end. To be called with the manager's rights: who has fewer may not take it back then.
 */
export function endedFirst(command: readonly string[]): string[] {
  return ['/bin/sh', '-c', `{ ${ENDED_FIRST}; } 2>/dev/null; exec "$@"`, 'sh', ...command];
}

/** Since Linux 5.14 processes are counted per user and user namespace, before per user of the host. */
function countsPerNamespace(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return process.getuid?.() === 0 || major > 5 || (major === 5 && minor >= 14);
}

/** Writes what the program reads from fd 4 and 5, and closes them. */
export function sendArguments(child: ChildProcess, command: Command): void {
  const args = (command.channelArguments ?? []).map((argument) => `${argument}\0`).join('');
  feed(child, 4, args);
  feed(child, 5, command.filter ?? '');
}
