/**
 * What Spare knows about the pages of a SQLite file, and the canonical form in which it compares them.
 *
 * G1. Two replicas that executed the same order have equal canonical images. The raw ones may differ: in WAL mode
 *     the file change counter (offset 24 of page 1) and its copy (92) depend on when a connection last read page 1,
 *     so on the cache, and 96 is the version of the SQLite library. Nothing reads them in WAL mode, except that 24
 *     and 92 must be equal for the page count in the header to be believed; the canonical form has zeros there.
 */
import { writeSync } from 'node:fs';
import { StateError } from './state.ts';

const MAGIC = Buffer.from('SQLite format 3\0', 'latin1');
const LOCK_BYTE = 0x4000_0000;

/** Of a database's own file, and of those that SQLite keeps beside it. */
export const FILE_SUFFIXES: readonly string[] = ['', '-wal', '-shm', '-journal'];
/** The largest page number that SQLite can store. */
export const PAGE_COUNT_MAX = 0xffff_fffe;
/** Enough of a file to tell what it is. */
export const FILE_HEADER_BYTES = 100;

export interface FileHeader {
  /** Bytes of a page: a power of two, 512 to 65536. */
  readonly pageSize: number;
  /** Whether both version numbers say write-ahead logging. */
  readonly wal: boolean;
}

/** Reads the first 100 bytes of a database file; null when they are not those of a SQLite database. */
export function parseFileHeader(bytes: Uint8Array): FileHeader | null {
  if (bytes.length < FILE_HEADER_BYTES) return null;
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, FILE_HEADER_BYTES);
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  const raw = header.readUInt16BE(16);
  const pageSize = raw === 1 ? 65_536 : raw;
  if (!isPageSize(pageSize)) return null;
  return { pageSize, wal: header[18] === 2 && header[19] === 2 };
}

export function isPageSize(value: number): boolean {
  return value >= 512 && value <= 65_536 && (value & (value - 1)) === 0;
}

/** Throws a `StateError` unless `image` is the first page of a database of that page size in WAL mode. */
export function assertFirstPage(image: Uint8Array, pageSize: number, path: string): void {
  const header = parseFileHeader(image);
  if (header === null || header.pageSize !== pageSize || !header.wal) {
    throw new StateError(
      `${path}: page 1 of the new state is not that of a WAL database of ${pageSize}-byte pages`,
    );
  }
}

/** Makes the image of page `page` canonical, in place. */
export function canonicalize(page: number, image: Uint8Array): void {
  if (page !== 1) return;
  image.fill(0, 24, 28);
  image.fill(0, 92, 100);
}

/** The page that holds SQLite's file locks: never written, always zero, in databases above 1 GiB. */
export function isLockPage(page: number, pageSize: number): boolean {
  return page === LOCK_BYTE / pageSize + 1;
}

/** Pages from `first` on, one after the other in `images`, to a database's file. */
export function writePages(fd: number, first: number, images: Uint8Array, pageSize: number): void {
  const from = (first - 1) * pageSize;
  // A disk that is nearly full takes a part, and says nothing.
  for (let at = 0; at < images.length;) at += writeSync(fd, images, at, images.length - at, from + at);
}
