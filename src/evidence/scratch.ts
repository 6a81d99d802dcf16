/**
 * The state before an entry, for the comparison of what replicas made of it: a link to a whole state and the updates after it,
 * in a folder that is removed once they are compared. One at a time: a state may be large, and updates lie in memory.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { STATE_FILE, UPDATES_FILE } from './compare/verified.ts';

/** Links the whole state to `target`, if there is one, at once; gives the updates after it. Null: it cannot be had. */
export type StateBefore = (target: string) => Promise<readonly Buffer[]> | null;

export interface Scratch {
  readonly path: string;
  readonly updates: Promise<readonly Buffer[]>;
}

export class Scratches {
  readonly #path: string;
  #taken = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Null when another one is in use, or the state is not to be had. */
  take(stateBefore: StateBefore): Scratch | null {
    if (this.#taken) return null;
    // Also what an earlier life left.
    rmSync(this.#path, { recursive: true, force: true });
    mkdirSync(this.#path, { recursive: true, mode: 0o700 });
    const updates = stateBefore(join(this.#path, STATE_FILE));
    if (updates === null) return null;
    this.#taken = true;
    return { path: this.#path, updates };
  }

  async fill({ path, updates }: Scratch): Promise<void> {
    const parts = (await updates).flatMap((update) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(update.length);
      return [length, update];
    });
    await writeFile(join(path, UPDATES_FILE), Buffer.concat(parts));
  }

  async give(scratch: Scratch): Promise<void> {
    await rm(scratch.path, { recursive: true, force: true });
    this.#taken = false;
  }
}
