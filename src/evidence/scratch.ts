/**
 * The state before an entry, for the comparison of what replicas made of it: a link to a whole state and the updates after it,
 * in a folder that is removed once they are compared. One at a time: a state may be large.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { appendFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import { sizeOf } from '../room.ts';
import type { StateAtHand } from './compare/tool.ts';
import { STATE_FILE, UPDATES_FILE } from './compare/verified.ts';

/** Links the whole state to `target`, if there is one, at once; gives the updates after it, or why it cannot be had. */
export type StateBefore = (target: string) => AsyncIterable<readonly Buffer[]> | string;

export interface Scratch {
  /** Null: it has nothing. */
  readonly path: string | null;
  /** Once all is there, or why it is not. */
  readonly filled: Promise<StateAtHand>;
}

/** That has nothing, and says why. */
export function noScratch(why: string): Scratch {
  return { path: null, filled: Promise.resolve({ why }) };
}

export class Scratches {
  readonly #path: string;
  readonly #closing: AbortSignal;
  readonly #room: () => number;
  #taken = false;

  /** `closing`: what is being filled then is left as it is. `room`: how many bytes may be written. */
  constructor(path: string, closing: AbortSignal, room: () => number) {
    this.#path = path;
    this.#closing = closing;
    this.#room = room;
    // What an earlier life left is as large as a state, and there may be no next time.
    rmSync(path, { recursive: true, force: true });
  }

  /** One that has nothing when another one is in use, or the state is not to be had. */
  take(stateBefore: StateBefore): Scratch {
    if (this.#taken) return noScratch('that before another incident was being looked into');
    try {
      // What could not be removed.
      rmSync(this.#path, { recursive: true, force: true });
      mkdirSync(this.#path, { recursive: true, mode: 0o700 });
    } catch (error) {
      return noScratch(messageOf(error));
    }
    const updates = stateBefore(join(this.#path, STATE_FILE));
    if (typeof updates === 'string') return noScratch(updates);
    this.#taken = true;
    const filled = fill(this.#path, updates, this.#closing, this.#room).then(
      () => ({ folder: this.#path }),
      (error: unknown) => ({ why: messageOf(error) }),
    );
    return { path: this.#path, filled };
  }

  async give({ path, filled }: Scratch): Promise<void> {
    if (path === null) return;
    await filled;
    // Else before the next one.
    await rm(path, { recursive: true, force: true }).catch(() => {});
    this.#taken = false;
  }
}

/** Begins to read before anything can fail: whoever gives the updates keeps them until they are read. */
async function fill(
  folder: string,
  updates: AsyncIterable<readonly Buffer[]>,
  closing: AbortSignal,
  room: () => number,
): Promise<void> {
  const path = join(folder, UPDATES_FILE);
  for await (const read of updates) {
    closing.throwIfAborted();
    const parts = read.flatMap((update) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(update.length);
      return [length, update];
    });
    const bytes = Buffer.concat(parts);
    // The state is only linked; what is made of both takes as much again.
    if (sizeOf(join(folder, STATE_FILE)) + bytes.length > room())
      throw new Error('with the updates after it there is no room for it');
    await appendFile(path, bytes);
  }
  await appendFile(path, '');
}
