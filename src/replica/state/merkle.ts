/**
 * A hash tree over the pages of one file, brought up to date for the pages that changed only.
 *
 * A leaf is SHA-256 of a page image; an inner node is SHA-256 of its level and up to 16 children. Leaf inputs have an
 * even length, inner ones an odd length, so neither can stand for the other.
 *
 * M1. The root follows from the images alone, not from the history of changes.
 * M2. `root` reads the pages touched since the last call, the first call all that it was not shown; and each time some more,
 *     in turn, so that a page that changed behind our back is found, too, after a while.
 */
import { hash } from 'node:crypto';

export const HASH_BYTES = 32;
const ARITY = 16;
/** Pages hashed anew at each root though nobody touched them. */
const SCRUBBED = 256;

export class MerkleTree {
  /** Hashes of level 0 (leaves) and up; each buffer has room to spare. */
  readonly #levels: Buffer[] = [];
  #count = 0;
  #touched = new Set<number>();
  /** Pages whose leaf is that of their image already. */
  #shown = new Set<number>();
  #built = false;
  #scrubAt = 0;

  /** Says that the image of page `page` (from 1) may have changed. */
  touch(page: number): void {
    this.#shown.delete(page);
    if (this.#built) this.#touched.add(page);
  }

  /** Says what the image of page `page` is now. */
  show(page: number, image: Uint8Array): void {
    this.touch(page);
    this.#hashLeaf(page - 1, image);
    this.#shown.add(page);
  }

  /** Of the image of page `page`, as of the last root. Changes with the next one. */
  leaf(page: number): Buffer {
    return this.#level(0, page).subarray((page - 1) * HASH_BYTES, page * HASH_BYTES);
  }

  /** Pages of these that may have changed since the last root, in no order. */
  touched(count: number): number[] {
    const touched = this.#built ? [...this.#touched] : Array.from({ length: count }, (_, leaf) => leaf + 1);
    return touched.filter((page) => page <= count);
  }

  #hashLeaf(leaf: number, image: Uint8Array): void {
    this.#level(0, leaf + 1).set(hash('sha256', image, 'buffer'), leaf * HASH_BYTES);
  }

  /** Says that every page may have changed. */
  touchAll(): void {
    this.#built = false;
    this.#touched.clear();
    this.#shown.clear();
  }

  /** The root over pages 1 to `count`; zeros when there are none. `read` gives the image of a page. */
  root(count: number, read: (page: number) => Uint8Array): Buffer {
    let dirty = this.#dirtyLeaves(count);
    for (const leaf of dirty) if (!this.#shown.has(leaf + 1)) this.#hashLeaf(leaf, read(leaf + 1));
    let nodes = count;
    let level = 0;
    while (nodes > 1) {
      level += 1;
      dirty = this.#inner(level, nodes, dirty);
      nodes = Math.ceil(nodes / ARITY);
    }
    this.#count = count;
    this.#built = true;
    this.#touched.clear();
    this.#shown.clear();
    return count === 0
      ? Buffer.alloc(HASH_BYTES)
      : Buffer.from(this.#level(level, 1).subarray(0, HASH_BYTES));
  }

  /** Leaves to hash anew. The last one always counts when the number changes: its ancestors get other children. */
  #dirtyLeaves(count: number): Iterable<number> {
    if (!this.#built) return Array.from({ length: count }, (_, leaf) => leaf);
    const dirty = new Set<number>();
    for (const page of this.#touched) if (page <= count) dirty.add(page - 1);
    for (let leaf = this.#count; leaf < count; leaf += 1) dirty.add(leaf);
    if (count < this.#count && count > 0) dirty.add(count - 1);
    for (let i = 0; i < Math.min(SCRUBBED, count); i += 1) {
      this.#scrubAt = (this.#scrubAt + 1) % count;
      dirty.add(this.#scrubAt);
    }
    return dirty;
  }

  /** Hashes the parents, at `level`, of the `dirty` among the `count` nodes below; returns these parents. */
  #inner(level: number, count: number, dirty: Iterable<number>): Set<number> {
    const parents = new Set<number>();
    for (const node of dirty) parents.add(Math.floor(node / ARITY));
    const below = this.#level(level - 1, count);
    const hashes = this.#level(level, Math.ceil(count / ARITY));
    const input = Buffer.alloc(1 + ARITY * HASH_BYTES);
    input[0] = level;
    for (const parent of parents) {
      const first = parent * ARITY;
      const children = Math.min(ARITY, count - first);
      below.copy(input, 1, first * HASH_BYTES, (first + children) * HASH_BYTES);
      hashes.set(hash('sha256', input.subarray(0, 1 + children * HASH_BYTES), 'buffer'), parent * HASH_BYTES);
    }
    return parents;
  }

  #level(level: number, nodes: number): Buffer {
    const present = this.#levels[level];
    if (present !== undefined && present.length >= nodes * HASH_BYTES) return present;
    const grown = Buffer.alloc(Math.ceil(Math.max(nodes, 64) * 1.5) * HASH_BYTES);
    if (present !== undefined) grown.set(present);
    this.#levels[level] = grown;
    return grown;
  }
}
