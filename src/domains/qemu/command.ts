/**
 * The command line of QEMU: a machine with its processors and memory, one read-only disk, one serial line for the
 * kernel's last words and three ports of a virtio console. Nothing else: every device is code that a guest can attack.
 *
 * All that belongs to a machine is handed over as open descriptors: QEMU needs no right on any path, and nobody else
 * can connect to what it listens on, because it listens on nothing.
 */
import { availableParallelism } from 'node:os';

/** Descriptors in the process of QEMU. */
export const FD = {
  channel: 3,
  control: 4,
  console: 5,
  serial: 6,
  qmp: 7,
  state: 8,
  /** Of the box, which closes it before QEMU starts. */
  filter: 9,
  root: 10,
  memory: 11,
  /** Of machines that are saved. */
  save: 12,
  /** Of one that boots. */
  kernel: 13,
  initrd: 14,
} as const;

/** `kvm` where it works, else emulation. */
export type Accelerator = 'kvm' | 'tcg';

export interface MachineOptions {
  readonly accelerator: Accelerator;
  /** Of the domain. */
  readonly limits: { readonly memoryBytes: number; readonly processes: number };
  /**
   * `boot`: from the image; what it writes to its memory is in the memory file. `clone`: from a saved state and the
   * memory file, which it does not change. `again`: the same, but the file is its own, and changes with it.
   */
  readonly start: 'boot' | 'clone' | 'again';
}

/** Room for the kernel, and for the image's files that it keeps in memory. */
const OWN_BYTES = 128 * 1024 ** 2;
const MIB = 1024 ** 2;
/**
 * Agent and service start beside each other, which is most of what a machine does before it is saved; a clone's own threads
 * are there sooner. More than the host has would wait for each other.
 */
const PROCESSORS = Math.min(2, availableParallelism());
/**
 * All that QEMU can emulate but what makes a guest slower: memory protection keys, which Node's engine switches so often, each
 * time emptying what QEMU knows of the guest's pages; a fifth level of page tables; and the promise that copying by single
 * bytes is fast (`erms`, `fsrm`), which it is only where no instruction is emulated.
 */
const EMULATED = 'max,pku=off,la57=off,erms=off,fsrm=off';
/** Not `pc`: where its interrupts go is told by a program, which the guest interprets for each device: a tenth of a second when emulated. */
const MACHINE = 'q35,usb=off,i8042=off,vmport=off,smbus=off,sata=off,hpet=off';
/**
 * Translated code that QEMU keeps. Where there is no room for more it forgets all, also what is running: enough for a service, and
 * a bound on what each machine holds; while one boots, enough for all that it does.
 */
const TRANSLATED_MIB = { boot: 512, clone: 128, again: 128 } as const;
const HYPERVISOR_BYTES = 384 * MIB;

/** Of the machine: what the domain may use, and room for what is not the domain's. */
export function machineBytes(limitBytes: number): number {
  return Math.ceil((limitBytes + OWN_BYTES) / MIB) * MIB;
}

/** Of QEMU: the machine, translated code, and what it knows of the guest's pages. */
export function hypervisorBytes(limitBytes: number): number {
  return machineBytes(limitBytes) + HYPERVISOR_BYTES;
}

export function descriptor(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

function socket(name: string, fd: number): string[] {
  return ['-chardev', `socket,id=${name},fd=${fd}`];
}

function port(name: string, number: number): string[] {
  return ['-device', `virtserialport,chardev=${name},name=spare.${name},nr=${number}`];
}

export function machineArguments(options: MachineOptions): string[] {
  const { accelerator, limits, start } = options;
  const memoryBytes = machineBytes(limits.memoryBytes);
  const memory = `memory-backend-file,id=memory,size=${memoryBytes},mem-path=${descriptor(FD.memory)}`;
  const settings = [
    // No tests of the kernel's cryptography by itself: half a second of each boot, for a kernel that is part of a measured image.
    'quiet panic=-1 console=ttyS0 8250.nr_uarts=1 audit=0 lsm= cryptomgr.notests',
    // What the kernel does against attacks on the processor's speculation, an emulated one does not have. Whether timers work it tries
    // for some milliseconds by the processor's clock, in which a busy host may give an emulated one none: it would panic.
    ...(accelerator === 'tcg' ? ['mitigations=off no_timer_check'] : []),
    `spare.memory=${limits.memoryBytes} spare.processes=${limits.processes}`,
  ];
  const parts = [
    ['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ['-machine', `${MACHINE},memory-backend=memory,dump-guest-core=off`],
    ['-accel', accelerator === 'kvm' ? 'kvm' : `tcg,tb-size=${TRANSLATED_MIB[start]}`],
    ['-cpu', accelerator === 'kvm' ? 'host' : EMULATED, '-smp', String(PROCESSORS)],
    ['-m', `${memoryBytes / MIB}M`],
    ['-object', `${memory},share=${start === 'clone' ? 'off' : 'on'}`],
    // What goes on from a saved state has them in its memory: to read them is a fifteenth of what a clone takes.
    start === 'boot'
      ? ['-kernel', descriptor(FD.kernel), '-initrd', descriptor(FD.initrd), '-append', settings.join(' ')]
      : [],
    ['-blockdev', `driver=file,node-name=file,read-only=on,locking=off,filename=${descriptor(FD.root)}`],
    ['-blockdev', 'driver=raw,node-name=root,read-only=on,file=file'],
    ['-device', 'virtio-blk-pci,drive=root', '-device', 'virtio-serial-pci,max_ports=4'],
    [...socket('channel', FD.channel), ...port('channel', 1)],
    [...socket('control', FD.control), ...port('control', 2)],
    [...socket('console', FD.console), ...port('console', 3)],
    [...socket('serial', FD.serial), '-device', 'isa-serial,chardev=serial'],
    [...socket('qmp', FD.qmp), '-mon', 'chardev=qmp,mode=control', '-S'],
    start === 'boot' ? [] : ['-incoming', 'defer'],
  ];
  return parts.flat();
}
