/**
 * The difference between two states of one database file: page count, and for each changed page the byte ranges
 * that changed. This is the body of an update; its bytes are voted on.
 *
 * Layout, integers as in `bytes.ts`: log2 of the page size, page count, then per changed page the distance from
 * the last page number and the number of ranges, each range as distance from the end of the last one, length, bytes.
 * Zero ranges stand for a whole image. A distance of zero ends the list.
 *
 * L1. Equal images give equal bytes: ranges are maximal runs of differences, joined over gaps below 8 bytes, and
 *     the whole image is used exactly when it is not larger. Unchanged pages do not appear.
 * L2. Decoding accepts nothing that points outside its page or file.
 */
import type { ByteReader, ByteWriter } from './bytes.ts';
import { isPageSize, PAGE_COUNT_MAX } from './page.ts';
import { StateError } from './state.ts';

const GAP_BYTES = 8;

/** Finds the ranges in which two images of a page differ; reused, since it holds its scratch space. */
export class PageDiffer {
  readonly #ends: Int32Array<ArrayBuffer>;
  readonly #starts: Int32Array<ArrayBuffer>;
  readonly #pageSize: number;

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
    const ranges = Math.ceil(pageSize / (GAP_BYTES + 1)) + 1;
    this.#starts = new Int32Array(ranges);
    this.#ends = new Int32Array(ranges);
  }

  /**
   * Appends the change of one page; false, and nothing written, when the images are equal. `skipped` is the distance
   * from the last page number. Both images must be aligned to four bytes.
   */
  write(writer: ByteWriter, skipped: number, previous: Uint8Array, next: Uint8Array): boolean {
    const ranges = this.#find(previous, next);
    if (ranges === 0) return false;
    writer.varint(skipped);
    const start = writer.length;
    writer.varint(ranges);
    let last = 0;
    for (let at = 0; at < ranges; at += 1) {
      const from = this.#starts[at] ?? 0;
      const to = this.#ends[at] ?? 0;
      writer.varint(from - last);
      writer.varint(to - from);
      writer.bytes(next, from, to);
      last = to;
    }
    if (writer.length - start < 1 + this.#pageSize) return true;
    writer.truncate(start);
    writer.varint(0);
    writer.bytes(next, 0, this.#pageSize);
    return true;
  }

  #find(previous: Uint8Array, next: Uint8Array): number {
    const size = this.#pageSize;
    const words = size >>> 2;
    const a = new Int32Array(previous.buffer, previous.byteOffset, words);
    const b = new Int32Array(next.buffer, next.byteOffset, words);
    let ranges = 0;
    for (let word = 0; ;) {
      while (word < words && a[word] === b[word]) word += 1;
      if (word >= words) return ranges;
      let at = word << 2;
      while (previous[at] === next[at]) at += 1;
      this.#starts[ranges] = at;
      let end = at + 1;
      for (at += 1; at < size && at - end < GAP_BYTES; at += 1) if (previous[at] !== next[at]) end = at + 1;
      this.#ends[ranges] = end;
      ranges += 1;
      word = at >>> 2;
    }
  }
}

/** New bytes for one page: `bytes[i]` belong at `offsets[i]`. The bytes are views of the update. */
export interface PagePatch {
  readonly page: number;
  readonly offsets: readonly number[];
  readonly bytes: readonly Uint8Array[];
}

export interface FilePatch {
  readonly pageSize: number;
  readonly pageCount: number;
  /** By ascending page number. */
  readonly pages: readonly PagePatch[];
}

export function writePatchHeader(writer: ByteWriter, pageSize: number, pageCount: number): void {
  writer.varint(Math.log2(pageSize));
  writer.varint(pageCount);
}

/** Reads the change of one file; throws a `StateError` when it is malformed. Only the first `pagesMax` pages are kept. */
export function readPatch(reader: ByteReader, pagesMax: number = Infinity): FilePatch {
  const pageSize = 2 ** reader.varint('the page size', 16);
  if (!isPageSize(pageSize)) throw new StateError(`malformed update: pages of ${pageSize} bytes`);
  const pageCount = reader.varint('the page count', PAGE_COUNT_MAX);
  if (pageCount === 0) throw new StateError('malformed update: a database without pages');
  const pages: PagePatch[] = [];
  for (let page = 0; ;) {
    const skipped = reader.varint('a page number', pageCount - page);
    if (skipped === 0) break;
    page += skipped;
    const change = readPage(reader, page, pageSize);
    if (pages.length < pagesMax) pages.push(change);
  }
  return { pageSize, pageCount, pages };
}

function readPage(reader: ByteReader, page: number, pageSize: number): PagePatch {
  const ranges = reader.varint('the number of ranges', pageSize);
  if (ranges === 0) return { page, offsets: [0], bytes: [reader.bytes(pageSize, 'a page')] };
  const offsets: number[] = [];
  const bytes: Uint8Array[] = [];
  for (let at = 0, end = 0; at < ranges; at += 1) {
    const gap = reader.varint('a range', pageSize - end);
    const length = reader.varint('the length of a range', pageSize - end - gap);
    if (length === 0) throw new StateError('malformed update: an empty range');
    if (at > 0 && gap < GAP_BYTES) throw new StateError('malformed update: ranges not joined');
    offsets.push(end + gap);
    bytes.push(reader.bytes(length, 'a range'));
    end += gap + length;
  }
  return { page, offsets, bytes };
}

/** Writes the new bytes of one page into its image. */
export function applyPage(patch: PagePatch, image: Uint8Array): void {
  for (const [at, bytes] of patch.bytes.entries()) image.set(bytes, patch.offsets[at] ?? 0);
}
