/**
 * Builds the image of a service: collects its root, writes it as a read-only file system, and puts the kernel and the
 * guest's first process beside it. The same input gives the same bytes.
 *
 * B1. An image appears under its name whole or not at all.
 * B2. What is there already and was made from the same files is not built again; from others, it stays beside the new one.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { messageOf, SpareError } from '../../../errors.ts';
import { buildInit } from '../../../replica/guest/build.ts';
import { type CpioEntry, cpio, folder, program } from './cpio.ts';
import { writeErofs } from './erofs.ts';
import { findKernel, type Kernel } from './kernel.ts';
import {
  digestOf,
  digestOfAll,
  Image,
  IMAGE_FILES,
  type ImageFile,
  type Manifest,
  manifestPath,
  readManifest,
} from './manifest.ts';
import { readLayers } from './oci.ts';
import { collectRoot, type Root, type RootSource } from './root.ts';
import { FileTree, type TreeEntry } from './tree.ts';

export interface BuildOptions extends RootSource {
  /** The folder that images are in, each in one of its own. */
  readonly images: string;
  /** Folder with `boot` and `lib/modules` of the kernel to use. */
  readonly kernel: string;
  /** The guest's first process; Spare's own by default. */
  readonly init?: string;
  /** Told each step. */
  readonly progress: (line: string) => void;
}

const FORMAT = 1;
const NAME_LENGTH = 16;
const MIB = 1024 * 1024;
const PATH_FORBIDDEN = /[\n\0]/;

/** Throws `image-build-failed`, and what `collectRoot` throws. */
export async function buildImage(options: BuildOptions): Promise<Image> {
  try {
    return await knownOrMade(options);
  } catch (cause) {
    if (cause instanceof SpareError) throw cause;
    throw new SpareError('image-build-failed', `The image was not built: ${messageOf(cause)}.`, {
      hint: `There must be room in ${options.images}, and the service folder must be readable.`,
      cause,
    });
  }
}

async function knownOrMade(options: BuildOptions): Promise<Image> {
  const { oci } = options.service;
  const kernel = findKernel(options.kernel);
  const init = await readFile(options.init ?? buildInit());
  // Of a container image without its layers, for which their digests stand: to unpack them takes as long as all else.
  const root = collectRoot(options, new FileTree(oci === undefined));
  const initrd = makeInitrd(kernel, root, init);
  const inputs = fingerprint(root.tree, [kernel.path, kernel.version, layoutOf(options)], initrd);
  const output = join(options.images, inputs.slice(0, NAME_LENGTH));
  const known = readManifest(output);
  if (known?.inputs === inputs) return new Image(output, known);
  await mkdir(options.images, { recursive: true });
  const draft = await mkdtemp(join(options.images, 'draft-'));
  try {
    const tree = oci === undefined ? root.tree : await layeredTree(options, oci, join(draft, 'layers'));
    options.progress(`${tree.entries.size} files, kernel ${kernel.version}`);
    await writeErofs(join(draft, 'root'), tree.entries);
    await rm(join(draft, 'layers'), { recursive: true, force: true });
    await copyFile(kernel.path, join(draft, 'kernel'));
    await writeFile(join(draft, 'initrd'), initrd);
    const manifest = await seal(draft, inputs);
    await rm(output, { recursive: true, force: true });
    await rename(draft, output);
    const size = IMAGE_FILES.reduce((sum, file) => sum + lstatSync(join(output, file)).size, 0);
    options.progress(`${Math.round(size / MIB)} MiB, digest ${manifest.digest}`);
    return new Image(output, manifest);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** `scratch`: a folder that stays until the root is written. */
async function layeredTree(options: BuildOptions, oci: string, scratch: string): Promise<FileTree> {
  const tree = new FileTree(false);
  await readLayers(oci, tree, scratch);
  return collectRoot(options, tree).tree;
}

/** From now on what is in `draft` is to stay as it is, and its manifest says so. */
async function seal(draft: string, inputs: string): Promise<Manifest> {
  const digests = await Promise.all(IMAGE_FILES.map((file) => digestOf(join(draft, file))));
  for (const file of IMAGE_FILES) await chmod(join(draft, file), 0o444);
  const files = Object.fromEntries(IMAGE_FILES.map((file, at) => [file, digests[at]])) as Record<
    ImageFile,
    string
  >;
  const manifest = { digest: digestOfAll(files), files, inputs };
  await writeFile(manifestPath(draft), `${JSON.stringify(manifest, undefined, 2)}\n`);
  return manifest;
}

function makeInitrd(kernel: Kernel, root: Root, init: Buffer): Buffer {
  const lines = [
    ...kernel.modules.map(({ name }) => `module /modules/${name}.ko`),
    `folder ${root.folder}`,
    ...root.argv.map((word) => `arg ${word}`),
    ...Object.entries(root.env).map(([name, value]) => `env ${name}=${value}`),
  ];
  const unusual = lines.find((line) => PATH_FORBIDDEN.test(line));
  if (unusual !== undefined) {
    throw new SpareError('image-build-failed', `A path has a line break in it: ${JSON.stringify(unusual)}.`, {
      hint: 'Rename that folder.',
    });
  }
  const entries: CpioEntry[] = [
    ...['dev', 'proc', 'sys', 'root', 'modules'].map(folder),
    program('init', init),
    { path: 'config', content: Buffer.from(`${lines.join('\n')}\n`), mode: 0o100644 },
    ...kernel.modules.map(({ name, content }) => ({ path: `modules/${name}.ko`, content, mode: 0o100644 })),
  ];
  return cpio(entries);
}

/** Names the layers by their digests, and what of them is left out. */
function layoutOf({ service: { oci, state } }: BuildOptions): string {
  return oci === undefined ? '' : JSON.stringify([readFileSync(join(oci, 'index.json'), 'utf8'), state]);
}

/** Of everything that goes in; files by size and times, because to read them all would be to build it. */
function fingerprint({ entries }: FileTree, others: readonly string[], initrd: Buffer): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([FORMAT, ...others]))
    .update(initrd);
  for (const [path, entry] of [...entries].sort(byPath)) {
    hash.update(JSON.stringify([path, entry]));
    if (entry.type !== 'file') continue;
    const { size, mtimeMs, ctimeMs, ino } = lstatSync(entry.source);
    hash.update(JSON.stringify([size, mtimeMs, ctimeMs, ino]));
  }
  return hash.digest('hex');
}

function byPath([a]: [string, TreeEntry], [b]: [string, TreeEntry]): number {
  return a < b ? -1 : Number(a > b);
}
