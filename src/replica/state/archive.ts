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

function* pieces(files: readonly PageSource[]): Generator<Uint8Array> {
  const header = Buffer.alloc(MAGIC.length + 4 + files.length * 8);
  header.set(MAGIC);
  header.writeUInt32BE(files.length, MAGIC.length);
  for (const [at, file] of files.entries()) {
    header.writeUInt32BE(file.pageSize, MAGIC.length + 4 + at * 8);
    header.writeUInt32BE(file.pageCount, MAGIC.length + 8 + at * 8);
  }
  yield header;
  for (const file of files) for (let page = 1; page <= file.pageCount; page += 1) yield file.read(page);
}

/** Reads an archive of `count` files: first `files`, then the pages one after the other, then `end`. */
export class ArchiveReader {
  readonly files: readonly ArchivedFile[];
  readonly #chunks: Iterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);
  #offset = 0;

  constructor(chunks: Iterable<Uint8Array>, count: number) {
    this.#chunks = chunks[Symbol.iterator]();
    if (!this.#more()) {
      this.files = Array.from({ length: count }, () => ({ pageSize: 0, pageCount: 0 }));
      return;
    }
    const start = Buffer.alloc(MAGIC.length + 4);
    this.read(start);
    if (!start.subarray(0, MAGIC.length).equals(MAGIC))
      throw new StateError('not an archive of database files');
    const found = start.readUInt32BE(MAGIC.length);
    if (found !== count) throw new StateError(`an archive of ${found} database files instead of ${count}`);
    const sizes = Buffer.alloc(count * 8);
    this.read(sizes);
    this.files = Array.from({ length: count }, (_, at) => fileAt(sizes, at * 8));
  }

  /** Fills `target` with what comes next. */
  read(target: Uint8Array): void {
    for (let filled = 0; filled < target.length;) {
      if (!this.#more()) throw new StateError('the archive of the state ends too early');
      const part = this.#chunk.subarray(this.#offset, this.#offset + target.length - filled);
      target.set(part, filled);
      this.#offset += part.length;
      filled += part.length;
    }
  }

  end(): void {
    if (this.#more()) throw new StateError('the archive of the state has bytes after its end');
  }

  #more(): boolean {
    while (this.#offset === this.#chunk.length) {
      const next = this.#chunks.next();
      if (next.done === true) return false;
      this.#chunk = next.value;
      this.#offset = 0;
    }
    return true;
  }
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
