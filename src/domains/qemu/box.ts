/**
 * What a QEMU sees of the host: its program, the libraries and its firmware, read-only, and with KVM the device. The processes,
 * the network and the names of the host are not there. All else it is handed as open descriptors.
 *
 * Bubblewrap makes it, as the user that QEMU is to run as: nothing in it has a right on the host, not even for a moment.
 *
 * X1. Nothing in it can be written, and no file be made.
 * X2. Whoever it runs as: what it is handed for reading stays so. The owner of the image, which all machines read, could make it
 *     writable, and open it anew. Nor does it reach the kernel's keyrings, for which there is no namespace.
 */
import { type ChildProcess, execFile } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

import { messageOf, SpareError } from '../../errors.ts';
import { feed } from '../../spawn.ts';
import { findTool } from '../process/paths.ts';
import { refusing, X86_64 } from '../process/system-calls.ts';
import { failureOf, versionOf } from '../process/trial.ts';
import { type Accelerator, FD } from './command.ts';

export const KVM = '/dev/kvm';

export interface Box {
  /** Absolute path of bubblewrap. */
  readonly bwrap: string;
  /** Its name and number. */
  readonly version: string;
  /** What makes the view, without what only some machines need. */
  readonly view: readonly string[];
}

const LIBRARIES = ['/lib', '/lib64', '/usr/lib', '/usr/lib64'];
const PROBE_MS_MAX = 10_000;
/** By their numbers on x86-64. QEMU does without them, and without all calls of the other architectures that its processor has. */
const CALLS = {
  chmod: 90,
  fchmod: 91,
  setxattr: 188,
  lsetxattr: 189,
  fsetxattr: 190,
  add_key: 248,
  request_key: 249,
  keyctl: 250,
  fchmodat: 268,
  // What is asked for by way of it, attributes among that, no filter sees. QEMU has other ways to wait for its descriptors.
  io_uring_setup: 425,
  fchmodat2: 452,
  setxattrat: 463,
} as const;
const FILTER = refusing([{ architecture: X86_64, calls: Object.values(CALLS) }], 'refused');

/** The command line that runs this one in the box, after `sendFilter`. QEMU is the only child of the process that it starts. */
export function boxed(box: Box, accelerator: Accelerator, command: readonly string[]): string[] {
  const namespaces = ['--unshare-all', '--hostname', 'machine', '--as-pid-1', '--die-with-parent'];
  const user = ['--unshare-user', '--disable-userns', '--uid', '1000', '--gid', '1000'];
  const device = accelerator === 'kvm' ? ['--dev-bind', KVM, KVM] : [];
  const rest = ['--proc', '/proc', '--remount-ro', '/proc', '--remount-ro', '/'];
  const filter = ['--seccomp', String(FD.filter)];
  return [box.bwrap, ...filter, ...namespaces, ...user, ...box.view, ...device, ...rest, '--', ...command];
}

/** To what was started with a pipe for it. */
export function sendFilter(child: ChildProcess): void {
  feed(child, FD.filter, FILTER);
}

/**
 * `prefix`: what starts a command as the user that machines run as. Answers why there is none, if QEMU does not start in it. Throws
 * `domain-start-failed` when that cannot be tried, or takes too long: that says nothing about the box.
 */
export async function findBox(program: string, prefix: readonly string[]): Promise<Box | string> {
  const bwrap = findTool('bwrap');
  if (bwrap === undefined) return 'bwrap not found';
  try {
    const version = await versionOf(bwrap);
    if (version === null) return `${bwrap} does not tell its version`;
    const box = { bwrap, version, view: await viewArguments(program) };
    const others = Array.from({ length: FD.filter - 3 }, () => 'ignore' as const);
    const failure = await failureOf([...prefix, ...boxed(box, 'tcg', [program, '--version'])], {
      env: {},
      timeoutMs: PROBE_MS_MAX,
      stdio: [...others, 'pipe'],
      send: sendFilter,
    });
    return failure ?? box;
  } catch (cause) {
    const message = `Whether QEMU starts in a sandbox cannot be tried: ${messageOf(cause)}.`;
    const hint = 'That needs descriptors, and some time of the processor.';
    throw new SpareError('domain-start-failed', message, { hint, cause });
  }
}

async function viewArguments(program: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(program, ['-L', 'help']);
  const firmware = stdout
    .trim()
    .split('\n')
    .map((path) => resolve(path));
  const own = ['lib', 'lib64'].map((name) => join(dirname(dirname(program)), name));
  const shown = new Set([...LIBRARIES, '/etc/ld.so.cache', ...own, ...firmware, program]);
  return [...shown].flatMap((path) => ['--ro-bind-try', path, path]);
}
