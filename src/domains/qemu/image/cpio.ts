/**
 * The kernel's initial file system: a cpio archive in the `newc` format, which the kernel unpacks by itself. The same
 * entries give the same bytes: no times, no owners, numbers by place.
 */

export interface CpioEntry {
  /** Without a leading slash. */
  readonly path: string;
  readonly content: Uint8Array;
  /** Type and permissions, as in `st_mode`. */
  readonly mode: number;
}

const FOLDER = 0o040755;
const PROGRAM = 0o100755;
const TRAILER = 'TRAILER!!!';
const ALIGNMENT = 4;

export function folder(path: string): CpioEntry {
  return { path, content: new Uint8Array(0), mode: FOLDER };
}

export function program(path: string, content: Uint8Array): CpioEntry {
  return { path, content, mode: PROGRAM };
}

/** Folders come before what is in them. */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  const all = [...entries, { path: TRAILER, content: new Uint8Array(0), mode: 0 }];
  for (const [at, { path, content, mode }] of all.entries()) {
    const name = Buffer.from(`${path}\0`);
    const [links, inode] = mode === 0 ? [1, 0] : [1, at + 1];
    const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, name.length, 0];
    const head = fields.map((field) => field.toString(16).padStart(8, '0')).join('');
    const named = Buffer.concat([Buffer.from(`070701${head}`), name]);
    parts.push(named, padding(named.length), content, padding(content.length));
  }
  return Buffer.concat(parts);
}

function padding(length: number): Uint8Array {
  return new Uint8Array((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}
