/**
 * What lies below some paths of the host, as digests: every file's content, every link's target, who may execute what. Reads the
 * disk at once and without a pause, so it runs in a thread of its own (`measuring-thread.ts`).
 *
 * A file is read again only when the system says that it may have changed: size, times of modification and change, inode. The
 * time of change (ctime) is set by the kernel at every write and cannot be chosen, except by who sets the host's clock; that is
 * root, whom Spare trusts with the host. The data folder, where digests and times are kept, belongs to Spare alone.
 *
 * E1. What changed since it was digested has another digest, or is read again next time: a file that was changed so shortly
 *     before that the clock would not tell a further change is not taken as known.
 * E2. Paths are in one order, whatever order a folder lists them in.
 * E3. All that a domain may see is measured, or named as left out. So a name or a link's target that is not UTF-8 is an error: as text it
 *     would be another one, which is not there, or was measured already.
 */
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { isLeftOut } from '../domains/left-out.ts';
import { tellsChange } from '../file-clock.ts';

export type Part = 'service' | 'runtime' | 'agent';

export interface Source {
  readonly part: Part;
  /** Absolute. */
  readonly path: string;
  /** Absolute paths that do not count. */
  readonly without: readonly string[];
}

export interface Entry {
  readonly part: Part;
  /** What it is and may be used for, and its content; equal when nothing that counts has changed. */
  readonly digest: string;
  /** What the system says of it; the content is read again when this differs. */
  readonly stat: string;
}

/** By absolute path. */
export type Manifest = ReadonlyMap<string, Entry>;

export interface Measured {
  readonly manifest: Manifest;
  /** Absolute paths of what lies there and was not measured (`domains/left-out.ts`). */
  readonly leftOut: readonly string[];
}

export interface Progress {
  files: number;
  /** Read, not only looked at. */
  bytes: number;
}

const READ_BYTES = 1024 * 1024;

class Measuring {
  readonly #known: Manifest;
  readonly #progress: (progress: Progress) => void;
  readonly #breathe: () => void;
  readonly #done: Progress = { files: 0, bytes: 0 };
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  readonly entries = new Map<string, Entry>();
  readonly leftOut = new Set<string>();

  constructor(known: Manifest, progress: (progress: Progress) => void, breathe: () => void) {
    this.#known = known;
    this.#progress = progress;
    this.#breathe = breathe;
  }

  add(source: Source, path: string): void {
    if (source.without.includes(path) || this.entries.has(path)) return;
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return;
    const { part } = source;
    if (path !== source.path && isLeftOut(path, found)) this.leftOut.add(path);
    else if (found.isSymbolicLink()) {
      const target = text(readlinkSync(path, 'buffer'), `what the link ${path} leads to`);
      this.entries.set(path, { part, digest: `link ${target}`, stat: '' });
    } else if (found.isDirectory()) {
      this.entries.set(path, { part, digest: 'folder', stat: '' });
      const names = readdirSync(path, 'buffer').map((name) => text(name, `a name in ${path}`));
      for (const name of names.sort()) this.add(source, `${path}/${name}`);
      this.#breathe();
    } else if (found.isFile()) this.#file(part, path, found);
  }

  #file(part: Part, path: string, found: Stats): void {
    const kind = (found.mode & 0o111) === 0 ? 'file' : 'program';
    const stat = `${kind} ${found.dev}:${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`;
    const before = this.#known.get(path);
    this.#done.files++;
    if (before !== undefined && before.stat === stat) {
      this.entries.set(path, { ...before, part });
      return;
    }
    const now = Date.now();
    const digest = `${kind} ${this.#read(path)}`;
    this.entries.set(path, { part, digest, stat: tellsChange(now, found.ctimeMs) ? stat : '' });
    this.#progress(this.#done);
  }

  #read(path: string): string {
    const hash = createHash('sha256');
    const fd = openSync(path, 'r');
    try {
      for (let length = 1; length > 0; this.#done.bytes += length) {
        length = readSync(fd, this.#buffer, 0, READ_BYTES, null);
        hash.update(this.#buffer.subarray(0, length));
      }
    } finally {
      closeSync(fd);
    }
    return hash.digest('base64url');
  }
}

/** `what`: for the error. */
function text(bytes: Buffer, what: string): string {
  if (isUtf8(bytes)) return bytes.toString();
  const shown = bytes
    .toString('latin1')
    .replaceAll(/[^ -~]/g, (byte) => `\\x${Buffer.from(byte, 'latin1').toString('hex')}`);
  throw new Error(`${what} is not UTF-8: ${shown}`);
}

/**
 * `known`: an earlier manifest, of the same or of other sources. `breathe` is called again and again, and may take its time. Throws
 * what the system says when something cannot be read, or what is not UTF-8.
 */
export function measure(
  sources: readonly Source[],
  known: Manifest,
  progress: (progress: Progress) => void = () => {},
  breathe: () => void = () => {},
): Measured {
  const measuring = new Measuring(known, progress, breathe);
  for (const source of sources) measuring.add(source, source.path);
  return { manifest: measuring.entries, leftOut: [...measuring.leftOut] };
}

/** Of all together. */
export function digestOf(manifest: Manifest): string {
  const hash = createHash('sha256');
  for (const path of [...manifest.keys()].sort())
    hash.update(`${JSON.stringify([path, manifest.get(path)?.digest])}\n`);
  return hash.digest('hex');
}

export interface FileChange {
  readonly path: string;
  readonly part: Part;
  readonly what: 'changed' | 'added' | 'removed';
}

/** How `now` differs from `before`, by path. */
export function changes(before: Manifest, now: Manifest): FileChange[] {
  const found: FileChange[] = [];
  for (const [path, { part, digest }] of now) {
    const old = before.get(path);
    if (old === undefined) found.push({ path, part, what: 'added' });
    else if (old.digest !== digest) found.push({ path, part, what: 'changed' });
  }
  for (const [path, { part }] of before) if (!now.has(path)) found.push({ path, part, what: 'removed' });
  return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
