/**
 * What a QEMU sees of the host: its program, the libraries and its firmware, read-only, and with KVM the device. The processes,
 * the network and the names of the host are not there. All else it is handed as open descriptors.
 *
 * Bubblewrap makes it, as the user that QEMU is to run as: nothing in it has a right on the host, not even for a moment.
 *
 * X1. Nothing in it can be written, and no file be made.
 */
import { execFile } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

import { messageOf, SpareError } from '../../errors.ts';
import { findTool, toolVersion } from '../process/paths.ts';
import type { Accelerator } from './command.ts';

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
const run = promisify(execFile);

/** The command line that runs this one in the box. QEMU is the only child of the process that it starts. */
export function boxed(box: Box, accelerator: Accelerator, command: readonly string[]): string[] {
  const namespaces = ['--unshare-all', '--hostname', 'machine', '--as-pid-1', '--die-with-parent'];
  const user = ['--unshare-user', '--disable-userns', '--uid', '1000', '--gid', '1000'];
  const device = accelerator === 'kvm' ? ['--dev-bind', KVM, KVM] : [];
  const rest = ['--proc', '/proc', '--remount-ro', '/proc', '--remount-ro', '/'];
  return [box.bwrap, ...namespaces, ...user, ...box.view, ...device, ...rest, '--', ...command];
}

/**
 * `prefix`: what starts a command as the user that machines run as. Answers why there is none, if QEMU does not start in it. Throws
 * `domain-start-failed` when it takes too long: that says nothing about the box, on a busy host.
 */
export async function findBox(program: string, prefix: readonly string[]): Promise<Box | string> {
  const bwrap = findTool('bwrap');
  if (bwrap === undefined) return 'bwrap not found';
  try {
    const box = { bwrap, version: await toolVersion(bwrap), view: await viewArguments(program) };
    const [file = '', ...args] = [...prefix, ...boxed(box, 'tcg', [program, '--version'])];
    await run(file, args, { env: {}, cwd: '/', timeout: PROBE_MS_MAX, killSignal: 'SIGKILL' });
    return box;
  } catch (error) {
    const { stderr = '', killed = false } = error as { readonly stderr?: string; readonly killed?: boolean };
    if (killed) {
      const message = `Whether QEMU starts in a sandbox cannot be tried: it did not end within ${PROBE_MS_MAX / 1000} s.`;
      throw new SpareError('domain-start-failed', message, {
        hint: 'That needs some time of the processor.',
      });
    }
    return stderr.trim().split('\n')[0] || messageOf(error);
  }
}

async function viewArguments(program: string): Promise<string[]> {
  const { stdout } = await run(program, ['-L', 'help']);
  const firmware = stdout
    .trim()
    .split('\n')
    .map((path) => resolve(path));
  const own = ['lib', 'lib64'].map((name) => join(dirname(dirname(program)), name));
  const shown = new Set([...LIBRARIES, '/etc/ld.so.cache', ...own, ...firmware, program]);
  return [...shown].flatMap((path) => ['--ro-bind-try', path, path]);
}
