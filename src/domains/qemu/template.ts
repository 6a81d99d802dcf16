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
import { closeSync, openSync } from 'node:fs';

import { Console } from '../process/console.ts';
import { takeMachineOwner } from './accelerator.ts';
import { type Body, openChannel, ParkedBody, PausedBody, type Suspension } from './body.ts';
import { boot, type BootOptions, type Saved, start, startFailure } from './boot.ts';
import { machineBytes } from './command.ts';
import type { Image, ImageFile } from './image/manifest.ts';
import type { Machine, MachineFiles } from './machine.ts';
import { copyMemory, hasQuickRoom, openMemory, QUICK_FOLDER } from './memory-file.ts';

export interface TemplateOptions extends BootOptions {
  readonly image: Image;
  /** Where memory files are made; needs room for as much as the guests use. */
  readonly folder: string;
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

const WAKE_MS_MAX = 30_000;

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

  /** Boots a machine from the image and saves it. Throws `domain-start-failed`, `service-start-failed` (of the opening) or `image-damaged`. */
  static async make(options: TemplateOptions): Promise<Template> {
    await options.image.verify();
    using booting = new DisposableStack();
    using held = new DisposableStack();
    const open = (file: ImageFile, until: DisposableStack): number =>
      until.adopt(openSync(options.image.path(file), 'r'), closeSync);
    const { folder } = options;
    const bytes = machineBytes(options.limits.memoryBytes);
    const isQuick = hasQuickRoom(bytes);
    const memory = (isQuick ? booting : held).adopt(
      openMemory(isQuick ? QUICK_FOLDER : folder, bytes),
      closeSync,
    );
    const root = open('root', held);
    const files = { root, memory, kernel: open('kernel', booting), initrd: open('initrd', booting) };
    const saved = await boot(options, files);
    const kept = isQuick ? held.adopt(await copyMemory(memory, folder, bytes), closeSync) : memory;
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
    const { folder, limits } = this.#options;
    const copy = copyMemory(this.#files.memory, folder, machineBytes(limits.memoryBytes));
    const memory = held.adopt(await copy, closeSync);
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
      await machine.wake('awake', WAKE_MS_MAX);
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
