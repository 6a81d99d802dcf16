/**
 * Follows the write-ahead log of one database: which frame holds the last committed image of each page.
 *
 * The caller holds a read transaction throughout, which is what makes this sound:
 * W1. While it is held, frames not yet in the database file are neither moved there nor overwritten, unless the log was
 *     complete in the file when it began; only then may a new generation of the log begin.
 * W2. Only frames up to the wal-index's `maxFrame` count: what was rolled back or spilled early is never seen.
 * W3. A log that changed in any other way is a `StateError`, never a wrong image.
 */
import { readSync } from 'node:fs';
import { StateError } from './state.ts';
import type { WalIndex, WalIndexHeader } from './wal-index.ts';

const LOG_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const NO_SALTS = Buffer.alloc(8);
const CHUNK_BYTES = 256 * 1024;

/** What was committed since the log was last advanced. */
export interface Scan {
  readonly header: WalIndexHeader;
  /** Page number to the frame with its last image; no page above `pageCount`. */
  readonly pages: Map<number, number>;
  /** Pages of the database after the last commit. */
  readonly pageCount: number;
  /** The smallest number of pages that the database had before or after any of these commits. */
  readonly pageCountMin: number;
  /** Whether `pageCountMin` is below the page count before. */
  readonly shrunk: boolean;
}

export class Wal {
  readonly #index: WalIndex;
  readonly #fd: number;
  readonly #path: string;
  readonly #pageSize: number;
  readonly #frames = new Map<number, number>();
  /** Frames read last, as they stand in the file: the first one's number and how many. */
  readonly #chunk: Buffer;
  #chunkFirst = 0;
  #chunkFrames = 0;
  #salts: Buffer = Buffer.alloc(8);
  #last = 0;
  /** Frames up to here are in the database file and in none of the maps. */
  #base = 0;

  constructor(index: WalIndex, fd: number, path: string, pageSize: number) {
    this.#index = index;
    this.#fd = fd;
    this.#path = path;
    this.#pageSize = pageSize;
    this.#chunk = Buffer.alloc(Math.max(CHUNK_BYTES, FRAME_HEADER_BYTES + pageSize));
  }

  /**
   * Begins anew with what the log holds now beyond the database file. To be called under a read transaction. Returns whether
   * that is nothing: then SQLite writes nothing to the file as long as it is held (W1).
   */
  start(): boolean {
    const header = this.#index.read();
    this.#frames.clear();
    this.#salts = header.salts;
    const isComplete = header.backfilled === header.maxFrame;
    this.#base = isComplete ? header.maxFrame : 0;
    this.#last = this.#base;
    this.#chunkFrames = 0;
    return isComplete;
  }

  /** Frames taken over that may not be in the database file yet. */
  get backlog(): number {
    return this.#last - this.#base;
  }

  /** Whether the log has changed since `start` or `scan`; cheap. */
  changed(): boolean {
    return this.#index.changed();
  }

  /** Whether the log holds an image of this page among the frames taken over. */
  has(page: number): boolean {
    return this.#frames.has(page);
  }

  /** Reads the image of a page into `target`; false when no frame taken over has it. */
  read(page: number, target: Uint8Array): boolean {
    const frame = this.#frames.get(page);
    if (frame === undefined) return false;
    this.readFrame(frame, target);
    return true;
  }

  /** Everything committed since `last`, not yet taken over. `pageCount` is that of the state before. */
  scan(pageCount: number): Scan {
    const header = this.#index.read();
    if (!header.salts.equals(this.#salts)) this.#restart(header);
    if (header.maxFrame < this.#last) throw new StateError(`${this.#path}: the log lost committed frames`);
    const pages = new Map<number, number>();
    let size = pageCount;
    let least = pageCount;
    let open = false;
    let highest = 0;
    for (let frame = this.#last + 1; frame <= header.maxFrame; frame += 1) {
      const at = this.#frameOffset(frame, header.maxFrame);
      const page = this.#chunk.readUInt32BE(at);
      if (page === 0 || !this.#sealed(at))
        throw new StateError(`${this.#path}: frame ${frame} is not of this log`);
      pages.set(page, frame);
      highest = Math.max(highest, page);
      const committed = this.#chunk.readUInt32BE(at + 4);
      open = committed === 0;
      if (open) continue;
      size = committed;
      least = Math.min(least, committed);
      if (highest > committed) for (const page of pages.keys()) if (page > committed) pages.delete(page);
      highest = Math.min(highest, committed);
    }
    if (open) throw new StateError(`${this.#path}: the log ends inside a transaction`);
    return { header, pages, pageCount: size, pageCountMin: least, shrunk: least < pageCount };
  }

  /** Takes over what `scan` found. */
  advance(scan: Scan): void {
    if (scan.shrunk) this.truncate(scan.pageCountMin);
    for (const [page, frame] of scan.pages) this.#frames.set(page, frame);
    this.#last = scan.header.maxFrame;
  }

  /** Forgets the images of pages above `pageCount`. */
  truncate(pageCount: number): void {
    for (const page of this.#frames.keys()) if (page > pageCount) this.#frames.delete(page);
  }

  /** The image in one frame of this generation. */
  readFrame(frame: number, target: Uint8Array): void {
    const within = frame - this.#chunkFirst;
    if (within >= 0 && within < this.#chunkFrames) {
      const start = within * this.#frameBytes() + FRAME_HEADER_BYTES;
      target.set(this.#chunk.subarray(start, start + this.#pageSize));
      return;
    }
    const position = this.#position(frame) + FRAME_HEADER_BYTES;
    if (readSync(this.#fd, target, 0, this.#pageSize, position) !== this.#pageSize) {
      throw new StateError(`${this.#path}: the log was cut off`);
    }
  }

  /** See W1: a new generation is sound only when nothing of the old one is missing in the file. */
  #restart(header: WalIndexHeader): void {
    if (this.#last !== this.#base)
      throw new StateError(`${this.#path}: the log was reset before it was read`);
    this.#salts = header.salts;
    this.#base = 0;
    this.#last = 0;
    this.#chunkFrames = 0;
  }

  /**
   * Whether the frame at this offset of the chunk carries the salts of this generation. Zeros will do: after a savepoint that
   * spilled and was rolled back, SQLite (3.45, not 3.53) leaves salts and checksums out. They only matter after a crash.
   */
  #sealed(at: number): boolean {
    const matches = (salts: Buffer): boolean => this.#chunk.compare(salts, 0, 8, at + 8, at + 16) === 0;
    return matches(this.#salts) || matches(NO_SALTS);
  }

  /** Makes sure that the frame is in the chunk; returns its offset there. */
  #frameOffset(frame: number, maxFrame: number): number {
    const size = this.#frameBytes();
    const within = frame - this.#chunkFirst;
    if (within >= 0 && within < this.#chunkFrames) return within * size;
    const frames = Math.min(Math.floor(this.#chunk.length / size), maxFrame - frame + 1);
    if (readSync(this.#fd, this.#chunk, 0, frames * size, this.#position(frame)) !== frames * size) {
      this.#chunkFrames = 0;
      throw new StateError(`${this.#path}: the log was cut off`);
    }
    this.#chunkFirst = frame;
    this.#chunkFrames = frames;
    return 0;
  }

  #frameBytes(): number {
    return FRAME_HEADER_BYTES + this.#pageSize;
  }

  #position(frame: number): number {
    return LOG_HEADER_BYTES + (frame - 1) * this.#frameBytes();
  }
}
