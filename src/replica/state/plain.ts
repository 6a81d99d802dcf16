/**
 * A state as plain database files, made of an archive of it and the updates after that. Outside of any domain, and only of what
 * f+1 replicas agreed on: SQLite may open these.
 */
import { closeSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { ArchiveReader, NO_PAGES } from './archive.ts';
import { writePages } from './page.ts';
import { applyPage, type FilePatch } from './patch.ts';
import { readUpdate } from './update.ts';

/** One database file, its pages from 1; for its user only. */
export class PlainFile {
  readonly path: string;
  readonly #fd: number;

  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, 'w+', 0o600);
  }

  /** Zeros above the end of the file. */
  read(page: number, pageSize: number): Buffer {
    const image = Buffer.alloc(pageSize);
    readSync(this.#fd, image, 0, pageSize, (page - 1) * pageSize);
    return image;
  }

  write(page: number, image: Uint8Array): void {
    writePages(this.#fd, page, image, image.length);
  }

  apply({ pageSize, pageCount, pages }: FilePatch): void {
    for (const patch of pages) {
      const image = this.read(patch.page, pageSize);
      applyPage(patch, image);
      this.write(patch.page, image);
    }
    ftruncateSync(this.#fd, pageCount * pageSize);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** `archive` in pieces, none of an empty one; `updates` in order. Throws a `StateError`. */
export function plainFiles(
  paths: readonly string[],
  archive: Iterable<Uint8Array>,
  updates: Iterable<Uint8Array>,
): PlainFile[] {
  const files: PlainFile[] = [];
  const reader = new ArchiveReader(paths.length, function* (sizes) {
    for (const [at, path] of paths.entries()) {
      const file = new PlainFile(path);
      files.push(file);
      const { pageSize, pageCount } = sizes[at] ?? NO_PAGES;
      const image = Buffer.alloc(pageSize);
      for (let page = 1; page <= pageCount; page++) {
        yield image;
        file.write(page, image);
      }
    }
  });
  for (const piece of archive) reader.take(piece);
  reader.end();
  for (const update of updates)
    for (const [at, patch] of readUpdate(update).entries()) if (patch !== null) files[at]?.apply(patch);
  return files;
}
