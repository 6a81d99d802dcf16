/**
 * The page images that make up the state of one database file, wherever they are.
 *
 * *The state* is what the last `capture`, `flush` or `load` left, not what the service wrote since. An image is looked up
 * in this order: updates applied but not flushed, frames of the log taken over, the database file as far as it
 * belongs to the state, else zeros. A state of *nothing* has no pages: before the first capture of a new database.
 *
 * I1. All images are canonical (`page.ts`).
 * I2. A page above the page count has no image; when the file grows again, it starts from zeros.
 */
import { hash } from 'node:crypto';
import type { PageSource } from './archive.ts';
import type { DatabaseFiles } from './files.ts';
import { MerkleTree } from './merkle.ts';
import { canonicalize } from './page.ts';
import type { Wal } from './wal.ts';

const ROOT_TAG = 0xfe;

export class Pages implements PageSource {
  /** Images of updates that were applied, but not flushed. */
  readonly pending: Map<number, Buffer> = new Map();
  readonly #files: DatabaseFiles;
  readonly #tree: MerkleTree = new MerkleTree();
  #wal: Wal | null = null;
  #buffer: Buffer = Buffer.alloc(0);
  #digest: Buffer = Buffer.alloc(0);
  #pageSize = 0;
  #pageCount = 0;
  #filePages = 0;

  constructor(files: DatabaseFiles) {
    this.#files = files;
  }

  /** Bytes; 0 when there are no pages. */
  get pageSize(): number {
    return this.#pageCount === 0 ? 0 : this.#pageSize;
  }

  get pageCount(): number {
    return this.#pageCount;
  }

  /** Pages above this are not taken from the database file. */
  get filePages(): number {
    return this.#filePages;
  }

  /** From now on frames that `wal` has taken over are part of the state. */
  attach(wal: Wal): void {
    this.#wal = wal;
  }

  /** The state is nothing, and will have pages of this size. */
  clear(pageSize: number): void {
    this.pending.clear();
    this.#tree.touchAll();
    this.#pageSize = pageSize;
    this.#buffer = Buffer.alloc(pageSize);
    this.#pageCount = 0;
    this.#filePages = 0;
  }

  /** The database file has exactly this many pages, and they are the state but for frames of the log. */
  settle(pageCount: number): void {
    this.pending.clear();
    this.#pageCount = pageCount;
    this.#filePages = pageCount;
  }

  /** Sets the number of pages; the file counts at most as far as it did. */
  resize(pageCount: number): void {
    for (let page = this.#pageCount + 1; page <= pageCount; page += 1) this.#tree.touch(page);
    this.#pageCount = pageCount;
    this.#filePages = Math.min(this.#filePages, pageCount);
  }

  touch(page: number): void {
    this.#tree.touch(page);
  }

  /** The file may have been written to by anybody. */
  touchAll(): void {
    this.#tree.touchAll();
  }

  /** What the image of a page is: it need not be read to know its digest. */
  show(page: number, image: Uint8Array): void {
    this.#tree.show(page, image);
  }

  /** The image of a page as it was, also above the page count: zeros. Overwritten by the next call. */
  read(page: number): Buffer {
    return this.image(page, this.#buffer);
  }

  /** The same, in `target` or a buffer that must not be changed. */
  image(page: number, target: Buffer): Buffer {
    if (page > this.#pageCount) return target.fill(0);
    const pending = this.pending.get(page);
    if (pending !== undefined) return pending;
    if (this.#wal?.read(page, target) !== true) {
      if (page > this.#filePages) return target.fill(0);
      this.#files.readPage(page, target);
    }
    canonicalize(page, target);
    return target;
  }

  /** Whether the file or the log holds an image of the page, so that it is not zeros for want of one. */
  isStored(page: number): boolean {
    return page <= this.#filePages || this.#wal?.has(page) === true;
  }

  /** The image of a page, to be changed in place and written at the next flush. */
  pendingImage(page: number): Buffer {
    const known = this.pending.get(page);
    if (known !== undefined) return known;
    const image = this.image(page, Buffer.alloc(this.#pageSize));
    this.pending.set(page, image);
    return image;
  }

  /** What `digest` said last. */
  get lastDigest(): Buffer {
    return this.#digest;
  }

  /** Those that may have changed since the last `digest`. */
  touched(): number[] {
    return this.#tree.touched(this.#pageCount);
  }

  /** SHA-256 of the image of a page, as of the last `digest`; overwritten by the next one. */
  hash(page: number): Buffer {
    return this.#tree.leaf(page);
  }

  /** SHA-256 over page size, page count and all images; reads only what changed since the last call. */
  digest(): Buffer {
    const sizes = Buffer.alloc(9);
    sizes[0] = ROOT_TAG;
    sizes.writeUInt32BE(this.pageSize, 1);
    sizes.writeUInt32BE(this.#pageCount, 5);
    const root = this.#tree.root(this.#pageCount, (page) => this.read(page));
    this.#digest = hash('sha256', Buffer.concat([sizes, root]), 'buffer');
    return this.#digest;
  }
}
