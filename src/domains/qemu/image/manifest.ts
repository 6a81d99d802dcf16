/**
 * A built image on disk: the kernel, the initial file system, the root, and a manifest that says what they must be.
 * The digest over all three is what is measured: it is printed when an image is built, and compared before each start.
 *
 * M1. What does not have the digest of its manifest is never started.
 * M2. A file that has not been touched since it was last read whole is not read again: the kernel's change time says so,
 *     which nobody can set. One that was changed so shortly before that this would not tell a further change is read again.
 *     That holds for the whole process, whoever asks.
 */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, type BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { messageOf, SpareError } from '../../../errors.ts';
import { tellsChange } from '../../../file-clock.ts';

export const IMAGE_FILES = ['kernel', 'initrd', 'root'] as const;
export type ImageFile = (typeof IMAGE_FILES)[number];
const MANIFEST = 'image.json';

export interface Manifest {
  readonly digest: string;
  readonly files: Readonly<Record<ImageFile, string>>;
  /** What it was made from; another value means that it must be built again. */
  readonly inputs: string;
}

export function manifestPath(folder: string): string {
  return join(folder, MANIFEST);
}

export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1024 ** 2 }), hash);
  return hash.digest('hex');
}

export function digestOfAll(files: Readonly<Record<ImageFile, string>>): string {
  const hash = createHash('sha256');
  for (const name of IMAGE_FILES) hash.update(`${name} ${files[name]}\n`);
  return hash.digest('hex');
}

/** The manifest in `folder`, or nothing if there is none that can be read. */
export function readManifest(folder: string): Manifest | undefined {
  try {
    return JSON.parse(readFileSync(manifestPath(folder), 'utf8')) as Manifest;
  } catch {
    return undefined;
  }
}

/** Of files that were read whole, by path: what they were then, and their digests. */
const read = new Map<string, { readonly identity: string; readonly digest: string }>();

/** Reads the file if it must. */
async function knownDigestOf(path: string): Promise<string> {
  const now = Date.now();
  const found = await stat(path, { bigint: true });
  const before = identity(found);
  const known = read.get(path);
  if (known?.identity === before) return known.digest;
  const digest = await digestOf(path);
  if (tellsChange(now, Number(found.ctimeMs))) read.set(path, { identity: before, digest });
  return digest;
}

function damaged(folder: string, what: string, cause?: unknown): SpareError {
  return new SpareError('image-damaged', `The image in ${folder} is not what was built: ${what}.`, {
    hint: 'Find out who changed it, then remove that folder: it is built again at the next start.',
    cause,
  });
}

/** An image as it was when it was opened; `verify` is called before each start. */
export class Image {
  readonly folder: string;
  readonly manifest: Manifest;

  constructor(folder: string, manifest: Manifest) {
    this.folder = folder;
    this.manifest = manifest;
  }

  path(file: ImageFile): string {
    return join(this.folder, file);
  }

  /** Throws `image-damaged`. */
  async verify(): Promise<void> {
    const { files, digest } = this.manifest;
    if (digestOfAll(files) !== digest) throw damaged(this.folder, 'its manifest contradicts itself');
    await Promise.all(IMAGE_FILES.map((file) => this.#verifyFile(file)));
  }

  async #verifyFile(file: ImageFile): Promise<void> {
    const path = this.path(file);
    try {
      const found = await knownDigestOf(path);
      if (found !== this.manifest.files[file]) {
        throw damaged(
          this.folder,
          `${file} has the digest ${found.slice(0, 16)}… instead of ${this.manifest.files[file].slice(0, 16)}…`,
        );
      }
    } catch (error) {
      if (error instanceof SpareError) throw error;
      throw damaged(this.folder, messageOf(error), error);
    }
  }
}

function identity({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join('/');
}
