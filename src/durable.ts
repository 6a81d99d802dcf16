/** How files that are to survive a loss of power get to the disk. */
import { closeSync, fdatasyncSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PRIVATE } from './data-folder.ts';

/** Makes a file, or a folder's entries, durable. */
export function syncFile(path: string): void {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

/** The same beside the loop. */
export async function syncBeside(path: string): Promise<void> {
  await using handle = await open(path);
  await handle.sync();
}

/** Whoever reads it, also after a loss of power, finds the old text or the new one, whole. For its user only. */
export function replaceText(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: PRIVATE });
  syncFile(`${path}.new`);
  renameSync(`${path}.new`, path);
  syncFile(dirname(path));
}

/** Written to a large file before the disk is waited for. */
export const STRIDE_BYTES: number = 8 * 1024 ** 2;

/**
 * A large file that is being written, and is to reach the disk a few megabytes at a time: were all of it left to the end, whoever
 * makes anything durable meanwhile would wait for the disk until it is through.
 */
export class SteadyFile implements Disposable {
  readonly #fd: number;
  readonly #strideBytes: number;
  #unsynced = 0;

  /** Of a file that exists, and is written to by others. `strideBytes`: after so many, `wrote` waits for the disk. */
  constructor(path: string, strideBytes: number = STRIDE_BYTES) {
    this.#fd = openSync(path, 'r');
    this.#strideBytes = strideBytes;
  }

  wrote(bytes: number): void {
    this.#unsynced += bytes;
    if (this.#unsynced < this.#strideBytes) return;
    this.#unsynced = 0;
    fdatasyncSync(this.#fd);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
