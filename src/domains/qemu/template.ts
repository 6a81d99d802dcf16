/**
 * A machine that was booted once and stands still: its memory in a file, the state of its devices beside it. Clones
 * are machines that go on from there: they map the file privately, so that they hold only what they change; or, where they
 * are to be parked, a copy of it.
 *
 * T1. All clones of a template have the same memory layout, and what was random in its guest when it was saved. Before a
 *     clone is used it gets the time and fresh randomness; and templates are made anew when they are old.
 * T2. Nobody changes a template once it is saved. Its files have no name: they go with the manager.
 * T3. Its files are open for as long as somebody may still start a machine with them: a clone that is being made, or is parked.
 * T4. A template that was opened has practised: its agent has carried out an order that changes nothing, often. Clones know
 *     nothing of that but that they are quick.
 * T5. It boots in a file in memory, where the host has room for two, and is saved in one on disk: what nobody needs just now the host
 *     can put out of its memory.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, fchmodSync, ftruncateSync, openSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { fullDisk } from '../../data-folder.ts';
import { messageOf, SpareError } from '../../errors.ts';
import type { DomainLimits, Opening } from '../domain.ts';
import { Console } from '../process/console.ts';
import { goBehind } from '../process/priority.ts';
import { type Hypervisor, takeMachineOwner } from './accelerator.ts';
import { type Body, openChannel, ParkedBody, PausedBody, type Suspension } from './body.ts';
import { machineBytes } from './command.ts';
import type { Image, ImageFile } from './image/manifest.ts';
import {
  type BootFiles,
  Machine,
  type MachineFiles,
  type MachineOrigin,
  type MachineStart,
} from './machine.ts';

export interface TemplateOptions {
  readonly hypervisor: Hypervisor;
  readonly image: Image;
  readonly limits: DomainLimits;
  /** Where memory files are made; needs room for as much as the guests use. */
  readonly folder: string;
  /** What it is sent, and has answered, before it is saved: so clones come with their service already started. */
  readonly opening: Opening | undefined;
  /** Lets those that serve go first. */
  readonly behind: boolean;
  /** Ends the machine that is being booted. */
  readonly signal: AbortSignal;
  readonly suspension: Suspension;
}

/** A clone that runs. */
export interface Running {
  readonly body: Body;
  readonly console: Console;
  /** To the opening, if it was sent one. */
  readonly answer: Buffer | undefined;
  /** To be called when it is gone. */
  release(): void;
}

interface Saved {
  /** Of the machine's devices. */
  readonly state: Buffer;
  readonly answer: Buffer | undefined;
}

const SEED_BYTES = 32;
const BOOT_MS_MAX = 120_000;
const WAKE_MS_MAX = 30_000;
/** Until then the agent's engine compiles what an order runs through, which takes longer than the order. */
const REHEARSALS = 1000;
/** Where the state is large, or all is slow, fewer must do. */
const REHEARSAL_MS_MAX = 10_000;
/** How long a guest that is ready may go on before it is taken as it is. */
const SETTLE_MS_MAX = 5000;
const CONSOLE_LINES = 3;
/**
 * A file system in memory, where the host has it: a guest that boots writes to much of its memory for the first time, which takes far
 * longer where that is a file on disk.
 */
const QUICK_FOLDER = '/dev/shm';
/** As `statfs` names such file systems. */
const TMPFS = 0x01021994;

export class Template implements Disposable {
  readonly madeAtMs: number = performance.now();
  readonly #options: TemplateOptions;
  readonly #files: MachineFiles;
  readonly #saved: Saved;
  /** Itself, and clones that need its files. */
  #users = 0;
  readonly #leave: () => void;

  private constructor(options: TemplateOptions, files: MachineFiles, saved: Saved) {
    this.#options = options;
    this.#files = files;
    this.#saved = saved;
    this.#leave = this.#use();
  }

  /** Boots a machine from the image and saves it. Throws `domain-start-failed` or `image-damaged`. */
  static async make(options: TemplateOptions): Promise<Template> {
    await options.image.verify();
    using booting = new DisposableStack();
    using held = new DisposableStack();
    const open = (file: ImageFile, until: DisposableStack): number =>
      until.adopt(openSync(options.image.path(file), 'r'), closeSync);
    const isQuick = hasQuickRoom(machineBytes(options.limits.memoryBytes));
    const memory = isQuick
      ? booting.adopt(openMemory(QUICK_FOLDER, options), closeSync)
      : held.adopt(openMemory(options.folder, options), closeSync);
    const root = open('root', held);
    const files = { root, memory, kernel: open('kernel', booting), initrd: open('initrd', booting) };
    const saved = await boot(options, files);
    const kept = isQuick ? held.adopt(await onDisk(memory, options), closeSync) : memory;
    held.move();
    return new Template(options, { root, memory: kept }, saved);
  }

  /** A machine that goes on from this one, awake. Throws `domain-start-failed` or `image-damaged`. */
  async clone(): Promise<Running> {
    const leave = this.#use();
    try {
      await this.#options.image.verify();
      if (this.#options.suspension === 'parked') return await this.#apart();
      return await this.#shared();
    } finally {
      leave();
    }
  }

  #use(): () => void {
    this.#users++;
    return () => {
      this.#users--;
      if (this.#users > 0) return;
      closeSync(this.#files.root);
      closeSync(this.#files.memory);
    };
  }

  /** Holds of its memory only what it changes. */
  async #shared(): Promise<Running> {
    using held = new DisposableStack();
    const owner = held.adopt(takeMachineOwner(), (taken) => taken?.release());
    const machine = start(this.#options, { start: 'clone', files: this.#files, owner });
    await this.#awaken(machine);
    return this.#running(new PausedBody(machine), machine.console, held);
  }

  /** With a memory file of its own, which is all that is left of it while it is parked. */
  async #apart(): Promise<Running> {
    using held = new DisposableStack();
    held.defer(this.#use());
    const memory = held.adopt(await onDisk(this.#files.memory, this.#options), closeSync);
    const files = { ...this.#files, memory };
    const owner = held.adopt(takeMachineOwner(), (taken) => taken?.release());
    const ends = await openChannel();
    held.defer(() => ends.machine.destroy());
    using unused = new DisposableStack();
    unused.defer(() => ends.manager.destroy());
    const console = new Console();
    const again = (): Machine => start(this.#options, { start: 'again', files, owner, ends, console });
    const machine = again();
    await this.#awaken(machine);
    unused.move();
    const body = new ParkedBody(machine, { ends, start: again });
    return this.#running(body, console, held);
  }

  /** Takes what it holds along. */
  #running(body: Body, console: Console, held: DisposableStack): Running {
    const kept = held.move();
    return { body, console, answer: this.#saved.answer, release: () => kept.dispose() };
  }

  /** Throws when it does not wake; then it has ended. */
  async #awaken(machine: Machine): Promise<void> {
    try {
      await machine.open();
      await machine.load(this.#saved.state);
      await machine.run();
      await machine.wake(randomBytes(SEED_BYTES), 'awake', WAKE_MS_MAX);
    } catch (error) {
      throw await startFailure(machine, error);
    }
  }

  /** No clone is made of it any more; those that there are keep what they have of it. */
  [Symbol.dispose](): void {
    // Who was given it just now comes first.
    setImmediate(this.#leave);
  }
}

function start(
  { hypervisor, limits }: TemplateOptions,
  what: MachineOrigin & Pick<MachineStart, 'owner' | 'ends' | 'console'>,
): Machine {
  const { program, box, accelerator } = hypervisor;
  return new Machine({ program, box, accelerator, limits, ...what });
}

/** For another that boots at the same time, too. */
export function hasQuickRoom(bytes: number): boolean {
  try {
    const { type, bavail, bsize } = statfsSync(QUICK_FOLDER);
    return type === TMPFS && Math.min(bavail * bsize, process.availableMemory()) >= 2 * bytes;
  } catch {
    return false;
  }
}

/** Boots a machine and saves it; it has ended then. */
async function boot(options: TemplateOptions, files: BootFiles): Promise<Saved> {
  using held = new DisposableStack();
  const owner = held.adopt(takeMachineOwner(), (taken) => taken?.release());
  const machine = start(options, { start: 'boot', files, owner });
  const kill = (): void => machine.kill();
  if (options.signal.aborted) kill();
  options.signal.addEventListener('abort', kill);
  try {
    await machine.open();
    if (options.behind) goBehind(machine.pid);
    await machine.run();
    await machine.wake(randomBytes(SEED_BYTES), 'ready', BOOT_MS_MAX);
    const answer = options.opening === undefined ? undefined : await openWith(machine, options.opening);
    await Promise.race([machine.heard('idle'), machine.exited, delay(SETTLE_MS_MAX)]);
    await machine.stop();
    return { state: await machine.save(), answer };
  } catch (error) {
    throw await startFailure(machine, error);
  } finally {
    options.signal.removeEventListener('abort', kill);
    machine.kill();
    await machine.exited;
  }
}

/** Opens it and lets it practise. Answers what the agent said to the opening. Throws when it says that it cannot, takes too long, or ends. */
async function openWith(machine: Machine, opening: Opening): Promise<Buffer> {
  const { channel } = machine;
  const answered = answerOf(machine, opening);
  const sent = opening.send(async (parts) => {
    channel.cork();
    for (const part of parts) channel.write(part);
    channel.uncork();
    if (channel.writableNeedDrain) await Promise.race([once(channel, 'drain'), machine.exited]);
  });
  const { timeoutMs } = opening;
  const [answer] = await machine.within(timeoutMs, Promise.all([answered, sent]), 'it was not opened');
  await machine.within(REHEARSAL_MS_MAX + timeoutMs, rehearse(machine, opening), 'it has not practised');
  return answer;
}

async function rehearse(machine: Machine, opening: Opening): Promise<void> {
  const endMs = performance.now() + REHEARSAL_MS_MAX;
  for (let i = 0; i < REHEARSALS && performance.now() < endMs; i++) {
    const answered = answerOf(machine, opening);
    for (const part of opening.rehearsal) machine.channel.write(part);
    await answered;
  }
}

/** What the agent says from now on, until that is the answer. Throws when it says that it cannot. */
function answerOf({ channel }: Machine, opening: Opening): Promise<Buffer> {
  const said: Buffer[] = [];
  const understand = opening.listen();
  return new Promise((resolve, reject) => {
    const take = (bytes: Buffer): void => {
      said.push(bytes);
      const found = understand(bytes);
      if (found === 'more') return;
      channel.off('data', take);
      if (found === 'answered') resolve(Buffer.concat(said));
      else reject(notStarted(found.failed, undefined));
    };
    channel.on('data', take);
  });
}

/** A file that has no name any more, of holes. */
function openMemory(folder: string, { limits }: Pick<TemplateOptions, 'limits'>): number {
  const path = join(folder, `memory-${randomBytes(8).toString('hex')}`);
  using held = new DisposableStack();
  const memory = held.adopt(openSync(path, 'wx+'), closeSync);
  rmSync(path);
  // Whoever owns a machine must be able to open it, through the descriptor that it is given: nobody else has one.
  fchmodSync(memory, 0o666);
  ftruncateSync(memory, machineBytes(limits.memoryBytes));
  held.move();
  return memory;
}

/** A copy without its holes: a guest does not touch all that it may. Throws `storage-failed` where there is no room for it. */
export async function onDisk(
  memory: number,
  options: Pick<TemplateOptions, 'folder' | 'limits'>,
): Promise<number> {
  using held = new DisposableStack();
  const copy = held.adopt(openMemory(options.folder, options), closeSync);
  const args = ['--reflink=auto', '--sparse=auto', '/proc/self/fd/3', '/proc/self/fd/4'];
  const copying = spawn('cp', args, { stdio: ['ignore', 'ignore', 'ignore', memory, copy] });
  const [code] = (await once(copying, 'exit')) as [number | null];
  // As long as the part that was copied is there: the disk is full of it.
  if (code !== 0)
    throw fullDisk(options.folder) ?? new Error('the memory of its template could not be copied');
  held.move();
  return copy;
}

/** Ends the machine. */
async function startFailure(machine: Machine, error: unknown): Promise<SpareError> {
  machine.kill();
  const ended = await machine.exited;
  if (error instanceof SpareError) return error;
  const last = machine.console.text().trim().split('\n').slice(-CONSOLE_LINES).join(' | ');
  const why = ended.startsWith('killed') ? messageOf(error) : ended;
  return notStarted(`The machine did not start: ${why}. ${last}`.trim(), error);
}

function notStarted(message: string, cause: unknown): SpareError {
  return new SpareError('domain-start-failed', message, {
    hint: 'If the message does not say why, try the command by itself.',
    cause,
  });
}
