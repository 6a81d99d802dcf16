/**
 * One folder for each incident, named by its number, below `incidents` in the data folder.
 *
 * F1. A folder is there whole or not at all, but for a loss of power: it is written under another name first.
 * F2. Disk is bounded: the oldest folders go when there are too many, or too many bytes.
 * F3. Those that show what differed, and those of which there is no more than that a replica ended, are two kinds; the kind goes that
 *     there is more of. So a replica that ends at every start pushes out no evidence of an intrusion, nor the other way round.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PRIVATE } from '../data-folder.ts';
import { type Exhibit, PART_FILE } from './exhibits.ts';

export interface FolderLimits {
  readonly folders: number;
  readonly bytes: number;
}

interface Kept {
  readonly bytes: number;
  /** Replies or updates that differ are in it. */
  readonly differs: boolean;
}

export const EVIDENCE_FOLDER = 'incidents';
/** Empty, and there until the folder is settled. */
const PENDING_FILE = 'pending';

export class Folders {
  readonly #root: string;
  readonly #limits: FolderLimits;
  /** Oldest first; null before the folder was looked at. */
  #kept: Map<number, Kept> | null = null;

  constructor(root: string, limits: FolderLimits) {
    this.#root = root;
    this.#limits = limits;
    mkdirSync(root, { recursive: true, mode: 0o700 });
  }

  path(id: number): string {
    return join(this.#root, String(id));
  }

  /** The highest number that has a folder; 0: none has. */
  latest(): number {
    return Math.max(0, ...numbers(readdirSync(this.#root)));
  }

  /** Those that are not settled: votes are to be compared, somebody is to be told. Oldest first. */
  pending(): number[] {
    const isPending = (id: number): boolean => existsSync(join(this.path(id), PENDING_FILE));
    return numbers(readdirSync(this.#root))
      .filter(isPending)
      .sort((a, b) => a - b);
  }

  async settle(id: number): Promise<void> {
    await rm(join(this.path(id), PENDING_FILE), { force: true });
  }

  /** Whether there is what differs in it. */
  differs(id: number): boolean {
    return readdirSync(this.path(id)).some((name) => PART_FILE.test(name));
  }

  /** It is pending until it is settled. `id`: above all that have a folder. Not while another one is being kept. */
  async keep(id: number, exhibits: readonly Exhibit[]): Promise<void> {
    const unfinished = join(this.#root, `${id}.new`);
    await rm(unfinished, { recursive: true, force: true });
    try {
      await mkdir(unfinished, { mode: 0o700 });
      const pending = { file: PENDING_FILE, bytes: Buffer.alloc(0) };
      for (const { file, bytes } of [...exhibits, pending])
        await writeFile(join(unfinished, file), bytes, { mode: PRIVATE });
      await rename(unfinished, this.path(id));
    } catch (error) {
      // It counts nowhere, and where the disk is full others need the room.
      await rm(unfinished, { recursive: true, force: true });
      throw error;
    }
    this.#kept ??= await this.#look();
    this.#kept.set(id, await lookInto(this.path(id)));
    await this.#prune(this.#kept, id);
  }

  async #prune(kept: Map<number, Kept>, newest: number): Promise<void> {
    for (;;) {
      const id = this.#tooMany(kept, newest);
      if (id === null) return;
      await rm(this.path(id), { recursive: true, force: true });
      kept.delete(id);
    }
  }

  /** Which one is to go; null: all may stay. */
  #tooMany(kept: Map<number, Kept>, newest: number): number | null {
    const all = [...kept];
    const byNumber = all.length > this.#limits.folders;
    const weigh = (some: typeof all): number =>
      byNumber ? some.length : some.reduce((sum, [, { bytes }]) => sum + bytes, 0);
    if (!byNumber && weigh(all) <= this.#limits.bytes) return null;
    const kinds = [false, true].map((kind) => all.filter(([, { differs }]) => differs === kind));
    const ordered = kinds.sort((a, b) => weigh(b) - weigh(a)).flat();
    return ordered.find(([id]) => id !== newest)?.[0] ?? null;
  }

  async #look(): Promise<Map<number, Kept>> {
    const kept = new Map<number, Kept>();
    const names = await readdir(this.#root);
    for (const name of names.filter((name) => name.endsWith('.new')))
      await rm(join(this.#root, name), { recursive: true, force: true });
    for (const id of numbers(names).sort((a, b) => a - b)) kept.set(id, await lookInto(this.path(id)));
    return kept;
  }
}

function numbers(names: readonly string[]): number[] {
  return names.filter((name) => /^\d+$/.test(name)).map(Number);
}

async function lookInto(folder: string): Promise<Kept> {
  const names = await readdir(folder);
  let bytes = 0;
  // What is being written there, as votes are compared, may be gone again.
  for (const name of names) bytes += (await stat(join(folder, name)).catch(() => null))?.size ?? 0;
  return { bytes, differs: names.some((name) => PART_FILE.test(name)) };
}
