/**
 * One running QEMU and the manager's ends of all that it holds. Started stopped; knows how it ended, and how to save and load its
 * state.
 *
 * M1. QEMU runs as a user of its own that owns nothing, without any right, when the manager is root; else as the manager. Where
 *     there is bubblewrap, it is in a box.
 * M2. It does not outlive the manager: it is killed with its parent, and by a guardian.
 * M3. It writes no file beyond the size of its memory.
 */
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

import { type Guarded, guarded, type Guardian } from '../../guardian.ts';
import { spawnPiped } from '../../spawn.ts';
import { endedFirst, withLimits } from '../process/command.ts';
import { Console } from '../process/console.ts';
import type { Owner } from '../process/folder.ts';
import { killGroup, signalName } from '../process/launch.ts';
import { findTool } from '../process/paths.ts';
import { asOwner, dyingWithParent } from '../process/setpriv.ts';
import { childrenOf, isThere, readStat, type Seen } from '../process/tree.ts';
import { type Box, boxed, sendFilter } from './box.ts';
import {
  descriptor,
  FD,
  hypervisorBytes,
  machineArguments,
  machineBytes,
  type MachineOptions,
} from './command.ts';
import { ControlPort } from './control-port.ts';
import { COMMAND_MS_MAX, Qmp } from './qmp.ts';
import { StatePort } from './state-port.ts';

/** Descriptors of the image and of the memory, open in the manager. */
export interface MachineFiles {
  readonly root: number;
  readonly memory: number;
}

export interface BootFiles extends MachineFiles {
  readonly kernel: number;
  readonly initrd: number;
}

/** A machine that goes on from a saved state is handed no kernel. */
export type MachineOrigin =
  | { readonly start: 'boot'; readonly files: BootFiles }
  | { readonly start: 'clone' | 'again'; readonly files: MachineFiles };

interface MachineParts extends MachineOptions {
  /** Absolute path of QEMU. */
  readonly program: string;
  readonly box: Box | undefined;
  readonly owner: Owner | undefined;
  /** Both ends of a channel that there is already; else it gets one that ends with it. */
  readonly ends?: { readonly manager: Duplex; readonly machine: Socket } | undefined;
  /** Where what it prints is kept; else in one of its own. */
  readonly console?: Console | undefined;
}

export type MachineStart = MachineParts & MachineOrigin;

/** Bubblewrap ends with this and the number of the signal that ended QEMU. */
const SIGNALLED = 128;

export class Machine {
  readonly channel: Duplex;
  readonly console: Console;
  readonly control: ControlPort;
  /** Why it ended, for a person. Never rejects. */
  readonly exited: Promise<string>;
  readonly #qmp: Qmp;
  readonly #child: ChildProcess;
  readonly #guardian: Guardian;
  readonly #options: MachineStart;
  /** QEMU, if it is in a box; the process that was started is then bubblewrap, and ends with it. */
  #inner: Seen | undefined;
  readonly #statePort: StatePort | undefined;
  #gone = false;

  /** Throws when its process cannot be started for want of memory or descriptors. */
  constructor(start: MachineStart) {
    const { ends } = start;
    this.#options = start;
    this.console = start.console ?? new Console();
    let statePort: StatePort | undefined;
    let spawned: Guarded<ChildProcess>;
    try {
      if (start.start !== 'clone') statePort = new StatePort();
      spawned = guarded('', () => spawnMachine(start, statePort));
    } catch (error) {
      statePort?.[Symbol.dispose]();
      throw error;
    } finally {
      statePort?.handedOver();
    }
    this.#statePort = statePort;
    this.#child = spawned.started;
    this.#guardian = spawned.guardian;
    if (this.#child.pid !== undefined) this.#guardian.watch(-this.#child.pid);
    const stream = (fd: number): Duplex => this.#stream(fd);
    this.channel = ends?.manager ?? stream(FD.channel);
    for (const output of [1, 2, FD.console, FD.serial]) this.console.attach(stream(output));
    // The other end may be gone at any time; `exited` tells why.
    for (const fd of Object.values(FD)) if (fd < FD.root) stream(fd)?.on('error', () => {});
    sendFilter(this.#child);
    this.control = new ControlPort(stream(FD.control));
    this.#qmp = new Qmp(stream(FD.qmp));
    this.exited = this.#watch();
  }

  /** Of QEMU, from `open` on. */
  get pid(): number {
    return this.#inner?.pid ?? this.#child.pid ?? 0;
  }

  /** The most that its process may hold. */
  get bytesMax(): number {
    return hypervisorBytes(this.#options.limits.memoryBytes);
  }

  /** Whether it listens to commands; else it could not be started. */
  async open(): Promise<void> {
    await this.#qmp.open();
    if (this.#options.box === undefined) return;
    const [pid = 0] = childrenOf(this.#child.pid ?? 0);
    this.#inner = readStat(pid);
    if (this.#inner === undefined) throw new Error('it ended');
    this.#guardian.watch(pid);
  }

  /** Resolves once the guest has answered; rejects when it takes longer. */
  async wake(answer: 'ready' | 'awake', withinMs: number): Promise<void> {
    this.control.wake();
    await this.within(withinMs, this.control.heard(answer), `it was not ${answer}`);
  }

  /** To be called once, when it is stopped and no clone. Answers the state of its devices; its memory is left in the memory file. */
  async save(): Promise<Buffer> {
    const port = this.#statePort;
    if (port === undefined) throw new Error('a clone is never saved');
    const migrated = await this.#prepareMigration();
    await this.#qmp.execute('migrate', { uri: `unix:${descriptor(FD.save)}` });
    // A hypervisor that sends what is wrong may never say that it is done, or say so and send on.
    const saved = Promise.all([port.receive(), migrated()]);
    const [state] = await this.within(COMMAND_MS_MAX, saved, 'its state was not saved');
    return state;
  }

  /** Loads what `save` answered. */
  async load(state: Buffer): Promise<void> {
    const migrated = await this.#prepareMigration();
    await this.#qmp.execute('migrate-incoming', { uri: `fd:${FD.state}` });
    this.#stream(FD.state).end(state);
    await this.within(COMMAND_MS_MAX, migrated(), 'its state was not loaded');
  }

  async run(): Promise<void> {
    await this.#qmp.execute('cont');
  }

  async stop(): Promise<void> {
    await this.#qmp.execute('stop');
  }

  kill(): void {
    if (this.#gone) return;
    if (this.#inner === undefined) killGroup(this.#child);
    else this.#killInner();
  }

  /** Unless it has ended, and its number is somebody else's. */
  #killInner(): void {
    if (this.#inner !== undefined && isThere(this.#inner)) process.kill(this.#inner.pid, 'SIGKILL');
  }

  #stream(fd: number): Duplex {
    return (this.#child.stdio as unknown as readonly Duplex[])[fd] as Duplex;
  }

  /** Rejects when it takes longer, with this failure, and once the machine has ended. */
  within<T>(ms: number, wanted: Promise<T>, failure: string): Promise<T> {
    const late = delay(ms, undefined, { ref: false }).then(() => {
      throw new Error(`${failure} within ${ms} ms`);
    });
    const ended = this.exited.then((why) => {
      throw new Error(why);
    });
    return Promise.race([wanted, late, ended]);
  }

  /** Without what is in the memory file. Answers what waits until it is done. */
  async #prepareMigration(): Promise<() => Promise<void>> {
    const capabilities = ['x-ignore-shared', 'events'].map((capability) => ({ capability, state: true }));
    await this.#qmp.execute('migrate-set-capabilities', { capabilities });
    const ended = this.#qmp.event('MIGRATION', ({ status }) => status === 'completed' || status === 'failed');
    ended.catch(() => {});
    return async () => {
      const { status } = await ended;
      if (status !== 'completed') throw new Error('its state cannot be saved or loaded');
    };
  }

  async #watch(): Promise<string> {
    const why = await new Promise<string>((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(this.#ending(code ?? 0, signal)));
    });
    this.#gone = true;
    // Should somebody have ended bubblewrap alone.
    this.#killInner();
    this.#guardian.release();
    this.#statePort?.[Symbol.dispose]();
    return why;
  }

  /** As the guest said before it switched itself off; else QEMU or its kernel ended. */
  async #ending(code: number, signal: NodeJS.Signals | null): Promise<string> {
    const { box, limits } = this.#options;
    if (signal !== null) return `killed by ${signal}`;
    if (box !== undefined && code > SIGNALLED) return `killed by ${signalName(code - SIGNALLED) ?? code}`;
    await this.control.closed();
    const said = this.control.ending(limits);
    return said ?? (code === 0 ? 'its machine switched off' : `its hypervisor ended with status ${code}`);
  }
}

function spawnMachine(start: MachineStart, statePort: StatePort | undefined): ChildProcess {
  const { files, owner, ends } = start;
  const handed = [files.root, files.memory];
  if (statePort !== undefined) handed.push(statePort.fd);
  if (start.start === 'boot') handed.push(start.files.kernel, start.files.initrd);
  const pipes = Array.from({ length: FD.root - FD.control }, () => 'pipe' as const);
  const memoryBytes = machineBytes(start.limits.memoryBytes);
  const plain = [start.program, ...machineArguments(start)];
  const command = start.box === undefined ? plain : boxed(start.box, start.accelerator, plain);
  const limited = withLimits({ ...start.limits, memoryBytes }, false, command, memoryBytes);
  const [file = '', ...args] = endedFirst([...dropping(owner), ...limited]);
  return spawnPiped(file, args, {
    env: {},
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe', ends?.machine ?? 'pipe', ...pipes, ...handed],
    detached: true,
  });
}

/** What starts a command without rights, and lets it be killed with the manager. */
export function dropping(owner: Owner | undefined): string[] {
  const setpriv = findTool('setpriv');
  if (setpriv === undefined) return [];
  return owner === undefined ? dyingWithParent(setpriv, ['--no-new-privs']) : asOwner(setpriv, owner);
}
