/**
 * Whole states on disk: the initial one, and checkpoints.
 *
 * N1. A checkpoint is in force only once its file is durable and the store says so; the one before stays until then.
 *     Making it durable takes as long as the disk does, and holds up nobody; of those that are agreed on meanwhile none is taken.
 * N2. What a replica exports goes to a file of its own and has the size that it announced, which the core compares with what
 *     f+1 replicas voted on; nothing of it is used before f+1 exports of different replicas have the same digest.
 */
import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { digest as toDigest, type Digest } from '../core/index.ts';
import { PRIVATE } from '../data-folder.ts';
import { CHUNK_BYTES, importFrames } from '../wire/channel.ts';
import { Holds } from './holds.ts';

const BASE = 'base';

interface Export {
  readonly file: string;
  readonly fd: number;
  readonly hash: Hash;
  readonly index: number;
  /** Announced; none is taken before. */
  bytesMax: number;
  bytes: number;
  digest: Digest | null;
}

/** Makes a file, or a folder's entries, durable. */
export function syncFile(path: string): void {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

export class Snapshots {
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #exports = new Map<string, Export>();
  #checkpoint: { index: number; file: string } | null;
  /** Being made durable, or on its way to the store. */
  #committed: string | null = null;
  readonly #holds = new Holds(() => this.#letGo());
  /** What was read only until now cannot be removed: no fault of who read it. */
  onFailure: (error: unknown) => void = () => {};

  constructor(folder: string, bytesMax: number, checkpoint: { index: number; file: string } | null) {
    this.#folder = folder;
    this.#bytesMax = bytesMax;
    this.#checkpoint = checkpoint;
    this.#clean();
  }

  /** Updates after this index belong on top of what `frames` gives; -1: from entry 0 on. */
  get index(): number {
    return this.#checkpoint?.index ?? -1;
  }

  get basePath(): string {
    return join(this.#folder, BASE);
  }

  /** The initial state's file, or null when the service starts from nothing. */
  get base(): string | null {
    return existsSync(this.basePath) ? this.basePath : null;
  }

  /** The file of the latest durable state, or null when that is nothing. */
  get #latest(): string | null {
    return this.#checkpoint === null ? this.base : join(this.#folder, this.#checkpoint.file);
  }

  /** Size of the latest durable state. */
  get bytes(): number {
    return this.#latest === null ? 0 : statSync(this.#latest).size;
  }

  /** The latest durable state as import frames; an empty state is one empty chunk. */
  frames(): AsyncIterable<Buffer[]> {
    return this.framesOf(this.#latest);
  }

  /** Links the latest durable state to `target`, if it is one from before this entry and no larger than that. */
  linkBefore(index: number, bytesMax: number, target: string): boolean {
    if (this.index >= index) return false;
    const source = this.#latest;
    if (source === null) return true;
    if (statSync(source).size > bytesMax) return false;
    linkSync(source, target);
    return true;
  }

  async *framesOf(file: string | null): AsyncIterable<Buffer[]> {
    let pending: Buffer = Buffer.alloc(0);
    if (file !== null) {
      await using handle = await open(file);
      for (;;) {
        const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES);
        if (bytesRead === 0) break;
        if (pending.length > 0) yield importFrames(pending, false);
        pending = buffer.subarray(0, bytesRead);
      }
    }
    yield importFrames(pending, true);
  }

  expect(replica: string, index: number): void {
    this.discard(replica);
    const file = `export-${replica}`;
    const fd = openSync(join(this.#folder, file), 'w', PRIVATE);
    const hash = createHash('sha256');
    this.#exports.set(replica, { file, fd, hash, index, bytesMax: 0, bytes: 0, digest: null });
  }

  /** How large its export will be, said with the digest of its state. */
  announce(replica: string, bytes: number): void {
    const running = this.#exports.get(replica);
    if (running !== undefined) running.bytesMax = Math.min(bytes, this.#bytesMax);
  }

  /** Takes a chunk; the digest of the export once it is whole, null before, `refused` when nothing was asked. */
  take(replica: string, chunk: Buffer, last: boolean): Digest | null | 'refused' {
    const running = this.#exports.get(replica);
    if (running === undefined || running.digest !== null) return 'refused';
    running.bytes += chunk.length;
    if (running.bytes > running.bytesMax || (last && running.bytes < running.bytesMax)) return 'refused';
    // All of it: a disk that is nearly full takes a part, and says nothing.
    writeFileSync(running.fd, chunk);
    running.hash.update(chunk);
    if (!last) return null;
    running.digest = toDigest(running.hash.digest('base64'));
    return running.digest;
  }

  /** Makes the agreed export durable; its name is the store's to keep. The others are removed. Null: none was taken. */
  async commit(index: number, digest: Digest): Promise<string | null> {
    let agreed: Export | null = null;
    for (const [replica, running] of this.#exports) {
      const isAgreed = running.index === index && running.digest === digest;
      if (agreed === null && isAgreed && this.#committed === null) {
        agreed = running;
        this.#exports.delete(replica);
      } else this.discard(replica);
    }
    if (agreed === null) return null;
    const file = `checkpoint-${index}`;
    // At once: the next export of the replica has the same name.
    renameSync(join(this.#folder, agreed.file), join(this.#folder, file));
    this.#committed = file;
    await promisify(fsync)(agreed.fd);
    closeSync(agreed.fd);
    await using folder = await open(this.#folder);
    await folder.sync();
    return file;
  }

  /** The store has it: what came before is removed. */
  inForce(index: number): void {
    this.#checkpoint = { index, file: `checkpoint-${index}` };
    this.#committed = null;
    this.#clean();
  }

  discard(replica: string): void {
    const running = this.#exports.get(replica);
    if (running === undefined) return;
    this.#exports.delete(replica);
    closeSync(running.fd);
    rmSync(join(this.#folder, running.file), { force: true });
  }

  /** Until what it returns is disposed of, files that are not in force any more stay. */
  hold(): Disposable {
    return this.#holds.take();
  }

  #letGo(): void {
    try {
      this.#clean();
    } catch (error) {
      this.onFailure(error);
    }
  }

  #clean(): void {
    if (this.#holds.any) return;
    const used = new Set([...this.#exports.values()].map((running) => running.file));
    if (this.#checkpoint !== null) used.add(this.#checkpoint.file);
    if (this.#committed !== null) used.add(this.#committed);
    for (const name of readdirSync(this.#folder)) {
      const ours = name.startsWith('checkpoint-') || name.startsWith('export-');
      if (ours && !used.has(name)) rmSync(join(this.#folder, name));
    }
  }
}
