/**
 * Whole states on disk: the initial one, and checkpoints.
 *
 * N1. A checkpoint is in force only once its file is durable and the store says so; the one before stays until then.
 *     Making it durable takes as long as the disk does, and holds up nobody; of those that are agreed on meanwhile none is taken.
 * N2. What a replica exports goes to a file of its own (`export.ts`); nothing of it is used before f+1 exports of different
 *     replicas have the same digest.
 * N3. A state that is not what was written there, or is gone, takes effect in no replica. All would hold the same, and so nobody
 *     would notice. What an earlier version wrote without a digest is taken as it is.
 */
import { createHash } from 'node:crypto';
import { existsSync, linkSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, type Digest } from '../core/index.ts';
import { BASE_FILE, checkpointFile } from '../data-folder.ts';
import { syncBeside } from '../durable.ts';
import { messageOf, stateChanged, stateMissing } from '../errors.ts';
import type { Checkpoint, Recovery } from '../ordering/store-protocol.ts';
import { removeFile } from '../remove-file.ts';
import { CHUNK_BYTES, importFrames } from '../wire/channel.ts';
import { Export } from './export.ts';
import { Holds } from './holds.ts';
import { loading, type Tell } from './loading.ts';

interface State {
  readonly path: string;
  /** Null: it is not known. */
  readonly digest: string | null;
}

function exportFile(replica: string): string {
  return `export-${replica}`;
}

/** The last frame, by which a state takes effect, comes once all of it was found to be right. */
async function* read({ path, digest }: State): AsyncIterable<Buffer[]> {
  const hash = digest === null ? null : createHash('sha256');
  let pending: Buffer = Buffer.alloc(0);
  await using handle = await open(path);
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES);
    if (bytesRead === 0) break;
    if (pending.length > 0) yield importFrames(pending, false);
    pending = buffer.subarray(0, bytesRead);
    hash?.update(pending);
  }
  if (hash !== null && hash.digest('base64') !== digest) throw stateChanged(path);
  yield importFrames(pending, true);
}

export class Snapshots {
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #exports = new Map<string, Export>();
  /** For how many pieces the disk is waited for, of exports that were given up, too; by replica. */
  readonly #unsynced = new Map<string, number>();
  /** The initial state; null when the service starts from nothing. */
  readonly #base: State | null;
  #checkpoint: Checkpoint | null;
  /** Being made durable, or on its way to the store. */
  #committed: Checkpoint | null = null;
  readonly #holds = new Holds(() => this.#letGo());
  /** Whether a replica that exports is to wait for the disk. */
  onBehind: (replica: string, behind: boolean) => void = () => {};
  /** The disk failed, beside what a caller is told of alone: no fault of a replica. */
  onFailure: (error: unknown) => void = () => {};

  /** Throws `SpareError` data-folder-damaged. */
  constructor(folder: string, bytesMax: number, { checkpoint, base }: Pick<Recovery, 'checkpoint' | 'base'>) {
    this.#folder = folder;
    this.#bytesMax = bytesMax;
    this.#checkpoint = checkpoint;
    const path = join(folder, BASE_FILE);
    this.#base = base !== null || existsSync(path) ? { path, digest: base } : null;
    for (const state of [this.#base, this.#latest])
      if (state !== null && !existsSync(state.path)) throw stateMissing(state.path);
    this.#clean();
  }

  /** Updates after this index belong on top of what `frames` gives; -1: from entry 0 on. */
  get index(): number {
    return this.#checkpoint?.index ?? -1;
  }

  /** Null when that is nothing. */
  get #latest(): State | null {
    if (this.#checkpoint === null) return this.#base;
    const { file, digest = null } = this.#checkpoint;
    return { path: join(this.#folder, file), digest };
  }

  /** Size of the latest durable state. */
  get bytes(): number {
    return this.#latest === null ? 0 : statSync(this.#latest.path).size;
  }

  /** The latest durable state as import frames; an empty state is one empty chunk. `tell`: how far that is, when it takes long. */
  frames(tell: Tell = () => {}): AsyncIterable<Buffer[]> {
    return this.#framesOf(this.#latest, tell);
  }

  /** The initial state, in the same way. */
  baseFrames(tell: Tell): AsyncIterable<Buffer[]> {
    return this.#framesOf(this.#base, tell);
  }

  /**
   * Links the latest durable state to `target`, if it is one from before this entry, no larger than that, and can be linked. Null: that
   * is done, or there is none; else why not.
   */
  linkBefore(index: number, bytesMax: number, target: string): string | null {
    if (this.index >= index) return 'the checkpoint is a later one';
    const source = this.#latest;
    try {
      const { bytes } = this;
      if (bytes > bytesMax) return `it takes ${bytes} bytes, and there is room for ${Math.max(0, bytesMax)}`;
      if (source !== null) linkSync(source.path, target);
      return null;
    } catch (error) {
      // Not every file system has links; it is for evidence only.
      return messageOf(error);
    }
  }

  async *#framesOf(state: State | null, tell: Tell): AsyncIterable<Buffer[]> {
    if (state === null) return yield importFrames(Buffer.alloc(0), true);
    try {
      yield* loading(read(state), statSync(state.path).size, tell);
    } catch (thrown) {
      const isGone = (thrown as NodeJS.ErrnoException).code === 'ENOENT';
      const error = isGone ? stateMissing(state.path) : thrown;
      this.onFailure(error);
      throw error;
    }
  }

  expect(replica: string, index: number): void {
    this.discard(replica);
    const running = new Export(join(this.#folder, exportFile(replica)), index, {
      onBehind: (behind) => this.#behind(replica, behind ? 1 : -1),
      onFailure: (error) => this.onFailure(error),
    });
    this.#exports.set(replica, running);
  }

  #behind(replica: string, more: 1 | -1): void {
    const before = this.#unsynced.get(replica) ?? 0;
    const now = before + more;
    if (now === 0) this.#unsynced.delete(replica);
    else this.#unsynced.set(replica, now);
    if (before === 0 || now === 0) this.onBehind(replica, now > 0);
  }

  /** How large its export will be, said with the digest of its state. */
  announce(replica: string, bytes: number): void {
    this.#exports.get(replica)?.announce(Math.min(bytes, this.#bytesMax));
  }

  /** Takes a chunk; the digest of the export once it is whole, null before, `refused` when nothing was asked. */
  take(replica: string, chunk: Buffer, last: boolean): Digest | null | 'refused' {
    const running = this.#exports.get(replica);
    return running === undefined ? 'refused' : running.take(chunk, last);
  }

  /** Makes the agreed export durable; its name is the store's to keep. The others are removed. Null: none was taken. */
  async commit(index: number, digest: Digest): Promise<string | null> {
    let agreed: Export | null = null;
    const file = checkpointFile(index);
    for (const [replica, running] of this.#exports) {
      const isAgreed = running.index === index && running.digest === digest;
      if (agreed === null && isAgreed && this.#committed === null) {
        agreed = running;
        this.#exports.delete(replica);
        // At once: the next export of the replica has the same name.
        renameSync(join(this.#folder, exportFile(replica)), join(this.#folder, file));
      } else this.discard(replica);
    }
    if (agreed === null) return null;
    this.#committed = { index, file, digest };
    await agreed.keep();
    await syncBeside(this.#folder);
    return file;
  }

  /** The store has it: what came before is removed. */
  inForce(index: number): void {
    assert(this.#committed?.index === index, 'N1: it was made durable before');
    this.#checkpoint = this.#committed;
    this.#committed = null;
    this.#clean();
  }

  discard(replica: string): void {
    const running = this.#exports.get(replica);
    if (running === undefined) return;
    this.#exports.delete(replica);
    running.discard();
    rmSync(join(this.#folder, exportFile(replica)), { force: true });
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
    const used = new Set([...this.#exports.keys()].map(exportFile));
    if (this.#checkpoint !== null) used.add(this.#checkpoint.file);
    if (this.#committed !== null) used.add(this.#committed.file);
    for (const name of readdirSync(this.#folder)) {
      const ours = name.startsWith('checkpoint-') || name.startsWith('export-');
      if (ours && !used.has(name)) removeFile(join(this.#folder, name));
    }
  }
}
