/**
 * What a service knows of one database since its start: the pages that it read then, and what was in them.
 */
import { hash } from 'node:crypto';
import type { Pages } from './pages.ts';

/** Of the header in page 1: how large the file is and what of it is free, which changes without anybody having to know. */
const SIZES = { from: 28, to: 40 } as const;

export class Known {
  readonly #pages: Pages;
  readonly #numbers: readonly number[];
  readonly #hashes: readonly Buffer[];

  /** `numbers`: of pages, from 1. The first is always read. */
  constructor(pages: Pages, numbers: readonly number[]) {
    this.#pages = pages;
    pages.digest();
    this.#numbers = [...new Set([1, ...numbers])].filter((page) => page <= pages.pageCount);
    this.#hashes = this.#numbers.map((page) => hashOf(pages, page));
  }

  /** Whether one of them holds something else by now, as of the last digest. */
  get isOutdated(): boolean {
    const { pageCount } = this.#pages;
    return this.#numbers.some(
      (page, at) => page > pageCount || this.#hashes[at]?.equals(hashOf(this.#pages, page)) !== true,
    );
  }
}

function hashOf(pages: Pages, page: number): Buffer {
  return page === 1
    ? hash('sha256', Buffer.from(pages.read(1)).fill(0, SIZES.from, SIZES.to), 'buffer')
    : pages.hash(page);
}
