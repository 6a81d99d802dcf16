/**
 * Writes a tree as an EROFS file system: read-only, uncompressed, so that a guest reads its files page by page as they lie
 * on the disk. Own code, because the same tree must give the same bytes whatever is installed, without a copy of all files
 * to make it from; of the format only this is used: compact inodes, flat data, folders.
 *
 * Layout, in blocks: the superblock, the inodes (one after another, 32 bytes each, a number is its place), the contents of
 * folders and links, those of files.
 *
 * F1. No time, owner or name of the host's is in it but the paths of the tree.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';

import type { TreeEntry } from './tree.ts';

const BLOCK = 4096;
const INODE_BYTES = 32;
const DIRENT_BYTES = 12;
const SUPERBLOCK_AT = 1024;
const MAGIC = 0xe0f5e1e2;
const BLOCK_BITS = 12;
const KIND = { file: 1, folder: 2, link: 7 } as const;
const MODE = { file: 0o100000, folder: 0o040000, link: 0o120000 } as const;
const FILE_BYTES_MAX = 2 ** 32 - 1;
const COPY_BYTES = 4 * 1024 ** 2;

interface Inode {
  readonly path: string;
  readonly kind: keyof typeof KIND;
  readonly mode: number;
  /** Where a file's content is; that of others is known. */
  readonly source: string | undefined;
  readonly children: Inode[];
  number: number;
  parent: number;
  content: Buffer;
  size: number;
  block: number;
}

/** `entries` by absolute path; each one's folder is there, too. */
export async function writeErofs(path: string, entries: ReadonlyMap<string, TreeEntry>): Promise<void> {
  const inodes = arrange(entries);
  const metaBlocks = blocksOf(inodes.length * INODE_BYTES);
  let next = 1 + metaBlocks;
  const place = (inode: Inode): void => {
    inode.block = inode.size === 0 ? 0 : next;
    next += blocksOf(inode.size);
  };
  const known = inodes.filter(({ source }) => source === undefined);
  const files = inodes.filter(({ source }) => source !== undefined);
  for (const inode of [...known, ...files]) place(inode);
  const head = Buffer.alloc((1 + metaBlocks) * BLOCK);
  writeSuperblock(head, inodes.length, next);
  for (const inode of inodes) writeInode(head, inode);
  await using output = await open(path, 'wx');
  await output.write(head);
  const padded = known.map(({ content }) => Buffer.concat([content], blocksOf(content.length) * BLOCK));
  await output.write(Buffer.concat(padded));
  for (const file of files) await copyFile(output, file);
  await output.truncate(next * BLOCK);
}

function blocksOf(bytes: number): number {
  return Math.ceil(bytes / BLOCK);
}

/** Numbers the inodes in the order of their paths, the root first, and makes what folders say. */
function arrange(entries: ReadonlyMap<string, TreeEntry>): Inode[] {
  const inodes = [...entries]
    .map(([path, entry]) => inodeOf(path, entry))
    .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  const byPath = new Map(inodes.map((inode) => [inode.path, inode]));
  for (const [at, inode] of inodes.entries()) {
    inode.number = at;
    const above = byPath.get(dirname(inode.path));
    inode.parent = above?.number ?? 0;
    if (inode.path !== '/') above?.children.push(inode);
  }
  for (const inode of inodes) {
    if (inode.kind !== 'folder') continue;
    inode.content = folderContent(inode);
    inode.size = inode.content.length;
  }
  return inodes;
}

function inodeOf(path: string, entry: TreeEntry): Inode {
  const base = { path, children: [], number: 0, parent: 0, block: 0, source: undefined };
  switch (entry.type) {
    case 'folder': {
      const content = Buffer.alloc(0);
      return { ...base, kind: 'folder', mode: entry.writable ? 0o1777 : 0o755, content, size: 0 };
    }
    case 'link': {
      const content = Buffer.from(entry.target);
      return { ...base, kind: 'link', mode: 0o777, content, size: content.length };
    }
    case 'text': {
      const content = Buffer.from(entry.text);
      return { ...base, kind: 'file', mode: 0o644, content, size: content.length };
    }
    case 'file': {
      const { source } = entry;
      const { size } = statSync(source);
      if (size > FILE_BYTES_MAX) throw new Error(`${source} is larger than 4 GiB`);
      const mode = entry.executable ? 0o755 : 0o644;
      return { ...base, kind: 'file', mode, source, content: Buffer.alloc(0), size };
    }
  }
}

interface Dirent {
  readonly name: Buffer;
  readonly number: number;
  readonly kind: keyof typeof KIND;
}

/** Each block has its entries first and their names behind them; the names are in order over all blocks. */
function folderContent({ number, parent, children }: Inode): Buffer {
  const dirents: Dirent[] = [
    { name: Buffer.from('.'), number, kind: 'folder' },
    { name: Buffer.from('..'), number: parent, kind: 'folder' },
    ...children.map((child): Dirent => {
      return { name: Buffer.from(basename(child.path)), number: child.number, kind: child.kind };
    }),
  ];
  dirents.sort((a, b) => Buffer.compare(a.name, b.name));
  const blocks: Buffer[] = [];
  for (let from = 0; from < dirents.length;) {
    let bytes = 0;
    let to = from;
    for (; to < dirents.length; to += 1) {
      const more = DIRENT_BYTES + (dirents[to]?.name.length ?? 0);
      if (bytes + more > BLOCK) break;
      bytes += more;
    }
    const block = direntBlock(dirents.slice(from, to));
    blocks.push(to < dirents.length ? Buffer.concat([block], BLOCK) : block);
    from = to;
  }
  return Buffer.concat(blocks);
}

function direntBlock(dirents: readonly Dirent[]): Buffer {
  const heads = Buffer.alloc(dirents.length * DIRENT_BYTES);
  let nameAt = heads.length;
  for (const [at, { name, number, kind }] of dirents.entries()) {
    heads.writeBigUInt64LE(BigInt(number), at * DIRENT_BYTES);
    heads.writeUInt16LE(nameAt, at * DIRENT_BYTES + 8);
    heads.writeUInt8(KIND[kind], at * DIRENT_BYTES + 10);
    nameAt += name.length;
  }
  return Buffer.concat([heads, ...dirents.map(({ name }) => name)]);
}

function writeSuperblock(head: Buffer, inodes: number, blocks: number): void {
  head.writeUInt32LE(MAGIC, SUPERBLOCK_AT);
  head.writeUInt8(BLOCK_BITS, SUPERBLOCK_AT + 12);
  head.writeUInt16LE(0, SUPERBLOCK_AT + 14); // the root's number
  head.writeBigUInt64LE(BigInt(inodes), SUPERBLOCK_AT + 16);
  head.writeUInt32LE(blocks, SUPERBLOCK_AT + 36);
  head.writeUInt32LE(1, SUPERBLOCK_AT + 40); // where the inodes begin
}

function writeInode(head: Buffer, inode: Inode): void {
  const at = BLOCK + inode.number * INODE_BYTES;
  const folders = inode.children.filter(({ kind }) => kind === 'folder').length;
  // Format 0: compact, its content in whole blocks of its own.
  head.writeUInt16LE(MODE[inode.kind] | inode.mode, at + 4);
  head.writeUInt16LE(inode.kind === 'folder' ? 2 + folders : 1, at + 6);
  head.writeUInt32LE(inode.size, at + 8);
  head.writeUInt32LE(inode.block, at + 16);
  head.writeUInt32LE(inode.number + 1, at + 20);
}

async function copyFile(output: FileHandle, { source, size, block }: Inode): Promise<void> {
  if (source === undefined || size === 0) return;
  await using input = await open(source);
  const buffer = Buffer.allocUnsafe(Math.min(size, COPY_BYTES));
  for (let at = 0; at < size;) {
    const { bytesRead } = await input.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) throw new Error(`${source} became shorter while it was read`);
    await output.write(buffer, 0, Math.min(bytesRead, size - at), block * BLOCK + at);
    at += bytesRead;
  }
}
