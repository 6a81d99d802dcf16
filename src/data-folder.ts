/** What a data folder of Spare has since a group was first run in it, or was restored into it, and is known by. */
import { closeSync, existsSync, fdatasyncSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const STORE_FILE = 'spare.db';
/** Of all files in it: the state of the service, what clients asked, and backups of both. */
export const PRIVATE = 0o600;
/** The files of domains that run, each in a folder of its own. */
export const DOMAINS_FOLDER = 'domains';

/** Who runs in a domain must get through it. */
export function makeDomainsFolder(dataFolder: string): void {
  mkdirSync(join(dataFolder, DOMAINS_FOLDER), { mode: 0o711 });
}

export function isDataFolder(folder: string): boolean {
  return [STORE_FILE, DOMAINS_FOLDER].every((name) => existsSync(join(folder, name)));
}

/** A file that SQLite will fill: what it makes itself, and keeps beside it, others may read. */
export function makePrivateFile(path: string): void {
  // Not one that is there: to close a database's file gives up the locks that this process has on it.
  if (!existsSync(path)) writeFileSync(path, '', { mode: PRIVATE });
}

/** Written to a large file before the disk is waited for. */
export const STRIDE_BYTES: number = 8 * 1024 ** 2;

/**
 * A large file that is being written, and is to reach the disk a few megabytes at a time: were all of it left to the end, whoever
 * makes anything durable meanwhile would wait for the disk until it is through.
 */
export class SteadyFile implements Disposable {
  readonly #fd: number;
  #unsynced = 0;

  /** Of a file that exists, and is written to by others. */
  constructor(path: string) {
    this.#fd = openSync(path, 'r');
  }

  wrote(bytes: number): void {
    this.#unsynced += bytes;
    if (this.#unsynced < STRIDE_BYTES) return;
    this.#unsynced = 0;
    fdatasyncSync(this.#fd);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
