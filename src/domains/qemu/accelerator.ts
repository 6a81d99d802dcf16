/**
 * QEMU on this host: where it is, and whether it can use the processor's own virtualisation (KVM). A device that is there
 * may still not work, as in a virtual machine that hides it badly: so a kernel is really started, once per manager.
 */
import { existsSync, statSync } from 'node:fs';
import { mkdtempDisposable, open, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { messageOf, SpareError } from '../../errors.ts';
import type { Owner } from '../process/folder.ts';
import { type TakenOwner, takeOwner } from '../process/owners.ts';
import { findTool } from '../process/paths.ts';
import { versionOf } from '../process/trial.ts';
import { type Box, findBox, KVM } from './box.ts';
import { type Accelerator, machineBytes } from './command.ts';
import { dropping, Machine } from './machine.ts';

export interface Hypervisor {
  readonly program: string;
  /** Nothing where bubblewrap does not work. */
  readonly box: Box | undefined;
  readonly accelerator: Accelerator;
  /** One line for the operator. */
  readonly description: string;
}

const PROBE_MS_MAX = 5000;
const PROGRAMS: Readonly<Record<string, string>> = { x64: 'qemu-system-x86_64' };
const VERSION_MIN = 7.2;

/** `kernel`: any kernel that guests can boot. Throws `domain-start-failed` when there is no QEMU that can be used. */
export async function findHypervisor(kernel: string): Promise<Hypervisor> {
  const name = PROGRAMS[process.arch];
  const found = name === undefined ? undefined : findTool(name);
  if (found === undefined) {
    throw new SpareError(
      'domain-start-failed',
      `There is no ${name ?? `QEMU for ${process.arch}`} on this host.`,
      {
        hint: 'Install it: apt-get install qemu-system-x86',
      },
    );
  }
  const program = await realpath(found);
  const [, version = 'unknown'] = /version (\d+\.\d+)/.exec(await said(program)) ?? [];
  if (!(Number(version) >= VERSION_MIN)) {
    throw new SpareError('domain-start-failed', `${program} is too old: ${version}.`, {
      hint: `Spare needs QEMU ${VERSION_MIN} or later.`,
    });
  }
  const tried = await tryBox(program);
  const box = typeof tried === 'string' ? undefined : tried;
  const place = typeof tried === 'string' ? `without sandbox (${tried})` : `in ${tried.version}`;
  const failure = existsSync(KVM) ? await tryKvm(program, box, kernel) : `no ${KVM}`;
  const accelerator = failure === undefined ? 'kvm' : 'tcg';
  const speed = failure === undefined ? 'with KVM' : `emulated (KVM does not work: ${failure})`;
  return { program, box, accelerator, description: `QEMU ${version} ${place}, ${speed}` };
}

/** To `--version`. Throws `domain-start-failed`. */
async function said(program: string): Promise<string> {
  const found = await versionOf(program).catch((cause: unknown) => {
    const message = `Whether ${program} works cannot be tried: ${messageOf(cause)}.`;
    const hint = 'That needs a process, descriptors, and some time of the processor.';
    throw new SpareError('domain-start-failed', message, { hint, cause });
  });
  if (found !== null) return found;
  throw new SpareError('domain-start-failed', `${program} does not tell its version.`, {
    hint: 'Start it with --version to see why.',
  });
}

/** A user of its own for a machine, when the manager is root; in the group that may use KVM. */
export function takeMachineOwner(): TakenOwner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const owner = takeOwner();
  return { uid: owner.uid, gid: kvmGroup() ?? owner.gid, release: () => owner.release() };
}

function kvmGroup(): number | undefined {
  const found = statSync(KVM, { throwIfNoEntry: false });
  return found !== undefined && found.gid !== 0 && (found.mode & 0o060) === 0o060 ? found.gid : undefined;
}

async function tryBox(program: string): Promise<Box | string> {
  const owner = takeMachineOwner();
  try {
    return await findBox(program, dropping(owner));
  } finally {
    owner?.release();
  }
}

/** Why it does not work; nothing if it does: a kernel without a file system stops by itself, soon. */
async function tryKvm(program: string, box: Box | undefined, kernel: string): Promise<string | undefined> {
  const owner = takeMachineOwner();
  try {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'spare-kvm-'));
    return await bootUntilPanic(program, box, kernel, join(folder.path, 'memory'), owner);
  } catch (error) {
    return messageOf(error);
  } finally {
    owner?.release();
  }
}

async function bootUntilPanic(
  program: string,
  box: Box | undefined,
  kernelPath: string,
  memoryPath: string,
  owner: Owner | undefined,
): Promise<string | undefined> {
  const limits = { memoryBytes: 0, processes: 0 };
  await using kernel = await open(kernelPath);
  await using memory = await open(memoryPath, 'w+');
  await memory.chmod(0o666);
  await memory.truncate(machineBytes(limits.memoryBytes));
  const files = { kernel: kernel.fd, initrd: kernel.fd, root: kernel.fd, memory: memory.fd };
  const machine = new Machine({
    program,
    box,
    accelerator: 'kvm',
    limits,
    start: 'boot',
    files,
    owner,
  });
  try {
    await machine.open();
    await machine.run();
    const late = delay(PROBE_MS_MAX, 'a guest does not get on', { ref: false });
    const end = await Promise.race([machine.exited, late]);
    return machine.console.text().includes('Kernel panic') ? undefined : end;
  } catch (error) {
    // It may hang.
    machine.kill();
    await machine.exited;
    return machine.console.text().trim().split('\n').at(-1) ?? messageOf(error);
  } finally {
    machine.kill();
    await machine.exited;
  }
}
