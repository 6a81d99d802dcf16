/**
 * The files of an image before they are written: what is at which path. Host paths are shown under the same path
 * unless it is said otherwise, with the symlinks that lead to them, and with the libraries that programs need.
 *
 * T1. The order, times, owners and exact permissions of the host's files do not matter: the same contents give the
 *     same image.
 * T2. Sockets, pipes and devices are left out.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

export type TreeEntry =
  | { readonly type: 'folder'; readonly writable: boolean }
  | { readonly type: 'link'; readonly target: string }
  | { readonly type: 'file'; readonly source: string; readonly executable: boolean }
  | { readonly type: 'text'; readonly text: string };

/** Names on the way down to a file of the host that are not to be followed into the image. */
export type Skip = (path: string) => boolean;

const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const LOADERS = ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1'];

export class FileTree {
  readonly entries: Map<string, TreeEntry> = new Map([['/', { type: 'folder', writable: false }]]);
  readonly #withLibraries: boolean;
  /** Real paths of libraries that a program needs: what they need, that program needs, too. */
  readonly #libraries = new Set<string>();

  /** `withLibraries`: whether programs get the host's libraries that they need; a root of its own has its own. */
  constructor(withLibraries: boolean) {
    this.#withLibraries = withLibraries;
  }

  folder(path: string, writable = false): this {
    if (path !== '/') this.folderAbove(path);
    const known = this.entries.get(path);
    if (known?.type !== 'folder' || writable) this.entries.set(path, { type: 'folder', writable });
    return this;
  }

  folderAbove(path: string): void {
    const above = dirname(path);
    if (!this.entries.has(above)) this.folder(above);
  }

  set(path: string, entry: TreeEntry): this {
    this.folderAbove(path);
    if (this.entries.get(path)?.type === 'folder') this.empty(path);
    this.entries.set(path, entry);
    return this;
  }

  /** Takes all below it out. */
  empty(path: string): void {
    const prefix = path === '/' ? '/' : `${path}/`;
    for (const known of this.entries.keys()) {
      if (known !== '/' && known.startsWith(prefix)) this.entries.delete(known);
    }
  }

  remove(path: string): void {
    this.empty(path);
    this.entries.delete(path);
  }

  /** Moves all below `from` to below `to`. */
  move(from: string, to: string): void {
    const moved = [...this.entries].filter(([path]) => path.startsWith(`${from}/`));
    this.empty(from);
    this.folder(to);
    for (const [path, entry] of moved) this.entries.set(to + path.slice(from.length), entry);
  }

  /** Shows a file or folder of the host under its own path, with all links that lead to it. */
  show(path: string, skip: Skip = () => false): this {
    const parts = resolve(path).split('/').filter(Boolean);
    for (let at = 1; at <= parts.length; at += 1) {
      const hop = `/${parts.slice(0, at).join('/')}`;
      if (!lstatSync(hop).isSymbolicLink()) continue;
      const target = readlinkSync(hop);
      this.set(hop, { type: 'link', target });
      return this.show(join(resolve(dirname(hop), target), ...parts.slice(at)), skip);
    }
    return this.copy(path, path, skip);
  }

  /** Puts a file or folder of the host to `target`. Links in it stay as they are. */
  copy(source: string, target: string, skip: Skip = () => false): this {
    const stats = lstatSync(source);
    if (stats.isSymbolicLink()) return this.set(target, { type: 'link', target: readlinkSync(source) });
    if (stats.isDirectory()) {
      this.folder(target);
      for (const name of readdirSync(source).sort()) {
        if (!skip(join(source, name))) this.copy(join(source, name), join(target, name), skip);
      }
    } else if (stats.isFile()) {
      const known = this.entries.get(target);
      if (known?.type === 'file' && known.source === source) return this;
      const executable = (stats.mode & 0o111) !== 0;
      this.set(target, { type: 'file', source, executable });
      if (this.#withLibraries && !this.#libraries.has(source)) this.#showLibraries(source);
    }
    return this;
  }

  #showLibraries(program: string): void {
    if (!headOf(program, ELF.length).equals(ELF)) return;
    for (const library of librariesOf(program)) {
      this.#libraries.add(realpathSync(library));
      this.show(library);
    }
  }
}

/** The first bytes of a file, `length` at most. */
export function headOf(path: string, length: number): Buffer {
  const head = Buffer.alloc(length);
  const fd = openSync(path, 'r');
  try {
    return head.subarray(0, readSync(fd, head, 0, length, 0));
  } finally {
    closeSync(fd);
  }
}

/** What the loader would load for it, itself included; nothing for what is linked statically or for another system. */
export function librariesOf(path: string): string[] {
  for (const loader of LOADERS) {
    try {
      const listed = execFileSync(loader, ['--list', path], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
        env: {},
      });
      const found = [...listed.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map(([, library = '']) => library);
      return [...new Set([loader, ...found])];
    } catch {
      // Not for this loader.
    }
  }
  return [];
}
