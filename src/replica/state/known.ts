/**
 * What a service knows of one database since its start: the pages that it read or wrote then, and what was in them at its end.
 */
import { hash } from 'node:crypto';
import { HASH_BYTES } from './merkle.ts';
import type { Pages } from './pages.ts';

/** Of the header in page 1: how large the file is and what of it is free, which changes without anybody having to know. */
const SIZES = { from: 28, to: 40 } as const;
/** 2 MiB of hashes. Who reads more counts as one who knows all. */
const PAGES_MAX = 65_536;

export class Known {
  readonly #pages: Pages;
  /** Of the whole. */
  readonly #digest: Buffer;
  /** None for who knows all, or that there is nothing: of that one hash is enough. */
  readonly #numbers: readonly number[];
  readonly #hashes: Buffer;

  /** `numbers`: of pages, from 1, some maybe twice. The first page is always read. */
  constructor(pages: Pages, numbers: readonly number[]) {
    this.#pages = pages;
    this.#digest = pages.digest();
    const known = numbers.length > PAGES_MAX ? [] : new Set([1, ...numbers]);
    this.#numbers = [...known].filter((page) => page <= pages.pageCount);
    this.#hashes = Buffer.concat(this.#numbers.map((page) => hashOf(pages, page)));
  }

  /** Whether one of them holds something else by now, as of the last digest. */
  get isOutdated(): boolean {
    if (this.#numbers.length === 0) return !this.#pages.lastDigest.equals(this.#digest);
    const { pageCount } = this.#pages;
    return this.#numbers.some((page, at) => page > pageCount || !this.#isSame(page, at * HASH_BYTES));
  }

  #isSame(page: number, at: number): boolean {
    const now = hashOf(this.#pages, page);
    return this.#hashes.compare(now, 0, HASH_BYTES, at, at + HASH_BYTES) === 0;
  }
}

function hashOf(pages: Pages, page: number): Buffer {
  return page === 1
    ? hash('sha256', Buffer.from(pages.read(1)).fill(0, SIZES.from, SIZES.to), 'buffer')
    : pages.hash(page);
}
