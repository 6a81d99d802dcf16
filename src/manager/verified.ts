/**
 * The verified state on its way to a replica: the latest that is durable as a whole, and the updates since.
 *
 * W1. What is being sent stays on disk until it is, whatever checkpoint comes meanwhile.
 */
import { applyFrames } from '../wire/channel.ts';
import type { Tell } from './loading.ts';
import type { Snapshots } from './snapshots.ts';
import type { UpdateLog } from './updates.ts';

export type Write = (frames: Buffer[]) => Promise<void>;

export class Verified {
  readonly #snapshots: Snapshots;
  readonly #updates: UpdateLog;

  constructor(snapshots: Snapshots, updates: UpdateLog) {
    this.#snapshots = snapshots;
    this.#updates = updates;
  }

  /** The state that the group began with. `tell`: how far that is, when it takes long. */
  async sendInitial(write: Write, tell: Tell): Promise<null> {
    for await (const frames of this.#snapshots.baseFrames(tell)) await write(frames);
    return null;
  }

  /** The state after the last decided entry; answers which that was, and -1 where there is none. */
  async sendPresent(write: Write, tell: Tell): Promise<number> {
    const { last } = this.#updates;
    await this.send(write, null, last, tell);
    return last;
  }

  /** The state after entry `through`; what it lacks, to one who has that after `had`, as far as the updates since are kept. */
  async send(write: Write, had: number | null, through: number, tell: Tell): Promise<void> {
    using _state = this.#snapshots.hold();
    using _updates = this.#updates.hold();
    if (had !== null && this.#updates.leadFrom(had)) return await this.sendUpdates(write, had + 1, through);
    const after = this.#snapshots.index;
    for await (const frames of this.#snapshots.frames(tell)) await write(frames);
    await this.sendUpdates(write, after + 1, through);
  }

  /** Updates `from` to `through`, both included. */
  async sendUpdates(write: Write, from: number, through: number): Promise<void> {
    for await (const read of this.#updates.onDisk(from, through)) await write(read.flatMap(applyFrames));
  }
}
