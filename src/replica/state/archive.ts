/**
 * The whole of one or several database files as one byte stream: what `export` gives, `import` takes, and a domain
 * is prepared from. Also written by the manager for databases that exist already.
 *
 * Layout: 8 bytes of magic, then big-endian 32-bit numbers: the number of files, and for each one page size and page
 * count (both 0 for a file that does not exist yet); then all pages of the first file, of the second, and so on, in
 * canonical form. No bytes at all stand for files that do not exist yet.
 *
 * A1. A reader checks all sizes before it hands out a page, and that the stream ends with the last page.
 */
import { isPageSize, PAGE_COUNT_MAX } from './page.ts';
import { StateError } from './state.ts';

const MAGIC = Buffer.from('SPAREDB1', 'latin1');

export interface ArchivedFile {
  /** Bytes; 0 when there are no pages. */
  readonly pageSize: number;
  readonly pageCount: number;
}

export const NO_PAGES: ArchivedFile = { pageSize: 0, pageCount: 0 };

export interface PageSource extends ArchivedFile {
  /** The canonical image of a page, from 1; may be overwritten by the next call. */
  read(page: number): Uint8Array;
}

/** The archive of these files, in chunks of exactly `chunkBytes` but for the last. */
export function* writeArchive(files: readonly PageSource[], chunkBytes: number): Generator<Uint8Array> {
  if (!(chunkBytes >= 1)) throw new RangeError(`chunks of ${chunkBytes} bytes`);
  let chunk = Buffer.alloc(0);
  let filled = 0;
  let left = archiveBytes(files);
  for (const piece of pieces(files)) {
    for (let at = 0; at < piece.length;) {
      if (filled === chunk.length) {
        if (filled > 0) yield chunk;
        chunk = Buffer.alloc(Math.min(chunkBytes, left));
        left -= chunk.length;
        filled = 0;
      }
      const count = Math.min(piece.length - at, chunk.length - filled);
      chunk.set(piece.subarray(at, at + count), filled);
      at += count;
      filled += count;
    }
  }
  yield chunk;
}

/** The size of the archive of these files, in bytes. */
export function archiveBytes(files: readonly ArchivedFile[]): number {
  const pages = files.reduce((sum, file) => sum + file.pageSize * file.pageCount, 0);
  return MAGIC.length + 4 + files.length * 8 + pages;
}

function header(files: readonly ArchivedFile[]): Buffer {
  const bytes = Buffer.alloc(MAGIC.length + 4 + files.length * 8);
  bytes.set(MAGIC);
  bytes.writeUInt32BE(files.length, MAGIC.length);
  for (const [at, file] of files.entries()) {
    bytes.writeUInt32BE(file.pageSize, MAGIC.length + 4 + at * 8);
    bytes.writeUInt32BE(file.pageCount, MAGIC.length + 8 + at * 8);
  }
  return bytes;
}

function* pieces(files: readonly PageSource[]): Generator<Uint8Array> {
  yield header(files);
  for (const file of files) for (let page = 1; page <= file.pageCount; page += 1) yield file.read(page);
}

/** Says what is to be filled next with bytes of an archive, and goes on once it is. */
export type Filling<Result = void> = Generator<Uint8Array, Result, void>;

/** Takes an archive of `count` files in whatever pieces it comes, and keeps none of it. */
export class ArchiveReader {
  readonly #count: number;
  readonly #filling: Filling;
  /** Null once all is there. */
  #target: Uint8Array | null = null;
  #filled = 0;
  #begun = false;

  /** `fill`: what is to be filled with the pages of these files, one after the other. */
  constructor(count: number, fill: (files: readonly ArchivedFile[]) => Filling) {
    this.#count = count;
    this.#filling = fillAll(count, fill);
    this.#next();
  }

  /** Throws a `StateError`. */
  take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const target = this.#target;
      if (target === null) throw new StateError('the archive of the state has bytes after its end');
      const part = bytes.subarray(at, at + target.length - this.#filled);
      target.set(part, this.#filled);
      at += part.length;
      this.#filled += part.length;
      this.#begun = true;
      if (this.#filled === target.length) this.#next();
    }
  }

  /** Throws a `StateError`. */
  end(): void {
    if (!this.#begun) this.take(header(Array.from({ length: this.#count }, () => NO_PAGES)));
    if (this.#target === null) return;
    this.#filling.return();
    throw new StateError('the archive of the state ends too early');
  }

  #next(): void {
    this.#filled = 0;
    do {
      const next = this.#filling.next();
      this.#target = next.done === true ? null : next.value;
    } while (this.#target?.length === 0);
  }
}

function* fillAll(count: number, fill: (files: readonly ArchivedFile[]) => Filling): Filling {
  const start = Buffer.alloc(MAGIC.length + 4);
  yield start;
  if (!start.subarray(0, MAGIC.length).equals(MAGIC))
    throw new StateError('not an archive of database files');
  const found = start.readUInt32BE(MAGIC.length);
  if (found !== count) throw new StateError(`an archive of ${found} database files instead of ${count}`);
  const sizes = Buffer.alloc(count * 8);
  yield sizes;
  yield* fill(Array.from({ length: count }, (_, at) => fileAt(sizes, at * 8)));
}

function fileAt(header: Buffer, offset: number): ArchivedFile {
  const file = { pageSize: header.readUInt32BE(offset), pageCount: header.readUInt32BE(offset + 4) };
  const empty = file.pageSize === 0 && file.pageCount === 0;
  const filled = isPageSize(file.pageSize) && file.pageCount > 0 && file.pageCount <= PAGE_COUNT_MAX;
  if (!empty && !filled) {
    throw new StateError(`an archive of ${file.pageCount} pages of ${file.pageSize} bytes makes no sense`);
  }
  return file;
}
