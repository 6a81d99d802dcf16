/**
 * The verified state on its way to a replica: the latest that is durable as a whole, and the updates since.
 *
 * W1. What is being sent stays on disk until it is, whatever checkpoint comes meanwhile.
 */
import { applyFrames } from '../wire/channel.ts';
import type { Write } from './link.ts';
import type { Tell } from './loading.ts';
import type { Snapshots } from './snapshots.ts';
import type { UpdateLog } from './updates.ts';

/** What it needs of the disk is kept from the call on that it comes of, until it is disposed of. */
export interface Sending extends Disposable {
  send(write: Write): Promise<void>;
}

export class Verified {
  readonly #snapshots: Snapshots;
  readonly #updates: UpdateLog;

  constructor(snapshots: Snapshots, updates: UpdateLog) {
    this.#snapshots = snapshots;
    this.#updates = updates;
  }

  /** Size of the latest state that is durable as a whole. */
  get bytes(): number {
    return this.#snapshots.bytes;
  }

  /** The state that the group began with. `tell`: how far that is, when it takes long. */
  async sendInitial(write: Write, tell: Tell): Promise<null> {
    for await (const frames of this.#snapshots.baseFrames(tell)) await write(frames);
    return null;
  }

  /** The state after the last decided entry; answers which that was, and -1 where there is none. */
  async sendPresent(write: Write, tell: Tell): Promise<number> {
    const { last } = this.#updates;
    using present = this.state(null, last, tell);
    await present.send(write);
    return last;
  }

  /** The state after entry `through`; what it lacks, to one who has that after `had`, as far as the updates since are kept. */
  state(had: number | null, through: number, tell: Tell): Sending {
    if (had !== null && this.#updates.leadFrom(had)) return this.rest(had + 1, through);
    const held = new DisposableStack();
    held.use(this.#snapshots.hold());
    const whole = this.#snapshots.frames(tell);
    const rest = held.use(this.rest(this.#snapshots.index + 1, through));
    const send = async (write: Write): Promise<void> => {
      for await (const frames of whole) await write(frames);
      await rest.send(write);
    };
    return { send, [Symbol.dispose]: () => held.dispose() };
  }

  /** Updates `from` to `through`, both included. */
  rest(from: number, through: number): Sending {
    const held = this.#updates.hold();
    const send = async (write: Write): Promise<void> => {
      for await (const read of this.#updates.onDisk(from, through)) await write(read.flatMap(applyFrames));
    };
    return { send, [Symbol.dispose]: () => held[Symbol.dispose]() };
  }
}
