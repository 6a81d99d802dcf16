/**
 * Which pages of its databases a service reads while it starts: a file that the agent makes, and that the service's processes map
 * and mark (`preload-reads.c`).
 *
 * Not seen: what is read otherwise than by `pread`, as through a mapping (`PRAGMA mmap_size`), by system calls of a program's own, or
 * without the libc layer.
 */
import { readFileSync, writeFileSync } from 'node:fs';

/** One that may be read. */
export interface ReadableFile {
  readonly dev: number;
  readonly ino: number;
  /** Bytes; 0 when there are no pages. */
  readonly pageSize: number;
  readonly pageCount: number;
}

/** Integers of 64 bits, little endian: the number of files, and for each the five fields of `struct file`. */
const COUNT_BYTES = 8;
const FILE_BYTES = 40;

export class Reads {
  readonly #path: string;
  /** By file: how many pages, and where their bits begin. */
  readonly #files: { readonly pageCount: number; readonly at: number }[] = [];

  /** Makes the file, for its own user only; throws what `fs` throws. */
  constructor(path: string, files: readonly ReadableFile[]) {
    this.#path = path;
    const head = Buffer.alloc(COUNT_BYTES + files.length * FILE_BYTES);
    head.writeBigUInt64LE(BigInt(files.length));
    let at = head.length;
    for (const [index, { dev, ino, pageSize, pageCount }] of files.entries()) {
      const fields = [dev, ino, pageSize, pageCount, at];
      for (const [field, value] of fields.entries())
        head.writeBigUInt64LE(BigInt(value), COUNT_BYTES + index * FILE_BYTES + field * 8);
      this.#files.push({ pageCount, at });
      at += Math.ceil(pageCount / 8);
    }
    // Written whole: who marks a page that has no place on a full disk would be ended.
    writeFileSync(path, Buffer.concat([head], at), { mode: 0o600 });
  }

  /** By file: the numbers, from 1, of the pages that were read until now. */
  pages(): number[][] {
    const bytes = readFileSync(this.#path);
    return this.#files.map(({ pageCount, at }) => {
      const read: number[] = [];
      for (let page = 0; page < pageCount; page += 1)
        if (((bytes[at + (page >>> 3)] ?? 0) & (1 << (page & 7))) !== 0) read.push(page + 1);
      return read;
    });
  }
}
