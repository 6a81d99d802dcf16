/**
 * One folder for each incident, named by its number, below `incidents` in the data folder.
 *
 * F1. A folder is there whole or not at all: it is written under another name first.
 * F2. Disk is bounded: the oldest folders go when there are too many, or too many bytes.
 */
import { mkdirSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PRIVATE } from '../data-folder.ts';
import type { Exhibit } from './exhibits.ts';

export interface FolderLimits {
  readonly folders: number;
  readonly bytes: number;
}

export const EVIDENCE_FOLDER = 'incidents';

export class Folders {
  readonly #root: string;
  readonly #limits: FolderLimits;
  /** Sizes, oldest first; null before the folder was looked at. */
  #sizes: Map<number, number> | null = null;

  constructor(root: string, limits: FolderLimits) {
    this.#root = root;
    this.#limits = limits;
    mkdirSync(root, { recursive: true, mode: 0o700 });
  }

  path(id: number): string {
    return join(this.#root, String(id));
  }

  /** Not while another one is being kept. */
  async keep(id: number, exhibits: readonly Exhibit[]): Promise<void> {
    const unfinished = join(this.#root, `${id}.new`);
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { mode: 0o700 });
    for (const { file, bytes } of exhibits) await writeFile(join(unfinished, file), bytes, { mode: PRIVATE });
    await rm(this.path(id), { recursive: true, force: true });
    await rename(unfinished, this.path(id));
    this.#sizes ??= await this.#look();
    this.#sizes.delete(id);
    this.#sizes.set(id, await sizeOf(this.path(id)));
    await this.#prune(this.#sizes, id);
  }

  async #prune(sizes: Map<number, number>, newest: number): Promise<void> {
    let bytes = 0;
    for (const size of sizes.values()) bytes += size;
    for (const [oldest, size] of sizes) {
      const fits = sizes.size <= this.#limits.folders && bytes <= this.#limits.bytes;
      if (fits || oldest === newest) return;
      await rm(this.path(oldest), { recursive: true, force: true });
      sizes.delete(oldest);
      bytes -= size;
    }
  }

  async #look(): Promise<Map<number, number>> {
    const sizes = new Map<number, number>();
    const names = await readdir(this.#root);
    for (const name of names.filter((name) => name.endsWith('.new')))
      await rm(join(this.#root, name), { recursive: true, force: true });
    const ids = names.filter((name) => /^\d+$/.test(name)).map(Number);
    for (const id of ids.sort((a, b) => a - b)) sizes.set(id, await sizeOf(this.path(id)));
    return sizes;
  }
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder)) bytes += (await stat(join(folder, name))).size;
  return bytes;
}
