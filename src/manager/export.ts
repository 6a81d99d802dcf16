/**
 * A whole state that one replica exports, on its way to a file.
 *
 * X1. It has the size that it announced, which the core compares with what f+1 replicas voted on; nothing is taken before that
 *     is known.
 * X2. It reaches the disk a few megabytes at a time, and its replica waits for that: were all of a large state written at once, what
 *     is acknowledged meanwhile would wait for the disk until it is through.
 * X3. It is durable only if each of its pieces is.
 */
import { createHash } from 'node:crypto';
import { closeSync, fdatasync, fsync, openSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { digest as toDigest, type Digest } from '../core/index.ts';
import { PRIVATE } from '../data-folder.ts';
import { STRIDE_BYTES } from '../durable.ts';
import { closeBeside } from '../remove-file.ts';

export interface ExportHandlers {
  /** Whether its replica is to wait. */
  readonly onBehind: (behind: boolean) => void;
  /** The disk failed. */
  readonly onFailure: (error: unknown) => void;
}

export class Export {
  readonly index: number;
  readonly #fd: number;
  readonly #handlers: ExportHandlers;
  readonly #hash = createHash('sha256');
  #announced = 0;
  #bytes = 0;
  #unsynced = 0;
  #syncing: Promise<void> = Promise.resolve();
  #digest: Digest | null = null;

  /** The state is that at `index`. */
  constructor(path: string, index: number, handlers: ExportHandlers) {
    this.index = index;
    this.#handlers = handlers;
    this.#fd = openSync(path, 'w', PRIVATE);
  }

  announce(bytes: number): void {
    this.#announced = bytes;
  }

  /** Of all bytes, once they are there. */
  get digest(): Digest | null {
    return this.#digest;
  }

  /** Takes a chunk; the digest of the whole with the last one, null before, `refused` when that is not what was announced. */
  take(chunk: Buffer, last: boolean): Digest | null | 'refused' {
    if (this.#digest !== null) return 'refused';
    this.#bytes += chunk.length;
    if (this.#bytes > this.#announced || (last && this.#bytes < this.#announced)) return 'refused';
    // All of it: a disk that is nearly full takes a part, and says nothing.
    writeFileSync(this.#fd, chunk);
    this.#hash.update(chunk);
    if (last) return (this.#digest = toDigest(this.#hash.digest('base64')));
    this.#unsynced += chunk.length;
    if (this.#unsynced >= STRIDE_BYTES) this.#sync();
    return null;
  }

  #sync(): void {
    this.#unsynced = 0;
    this.#handlers.onBehind(true);
    this.#syncing = this.#syncing.then(() => promisify(fdatasync)(this.#fd));
    void this.#syncing.then(() => this.#handlers.onBehind(false), this.#handlers.onFailure);
  }

  /** Makes it durable, and closes the file. */
  async keep(): Promise<void> {
    // Throws where a piece did not get there: that is said once, and what is asked next would hide it.
    await this.#syncing;
    await promisify(fsync)(this.#fd);
    closeSync(this.#fd);
  }

  /** Closes the file, for whoever removes it. */
  discard(): void {
    void Promise.allSettled([this.#syncing]).then(() => closeBeside(this.#fd));
  }
}
