/**
 * A root taken from an OCI image layout, the folder that `skopeo copy … oci:folder` writes and that `docker save` has in
 * its archive: the layers one over the other, and what the image says of the program in it.
 *
 * O1. Every blob has the digest that it is named by.
 * O2. Owners, and devices, do not count: a service has no rights to use either.
 */
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { messageOf, SpareError } from '../../../errors.ts';
import { digestOf } from './manifest.ts';
import { FileTree } from './tree.ts';

interface Descriptor {
  readonly digest: string;
  readonly platform?: { readonly architecture: string; readonly os: string };
}

interface Index {
  readonly manifests?: readonly Descriptor[];
  readonly layers?: readonly Descriptor[];
  readonly config?: Descriptor;
}

/** How the image says that its program is started. */
export interface OciProgram {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
}

const run = promisify(execFile);
const DIGEST = /^(sha256):([0-9a-f]{64})$/;
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const LISTING_BYTES_MAX = 64 * 1024 ** 2;

function broken(layout: string, what: string, cause?: unknown): SpareError {
  return new SpareError('image-build-failed', `${layout} is no OCI image layout that can be used: ${what}.`, {
    hint: 'Make one with: skopeo copy docker-daemon:name:tag oci:folder',
    cause,
  });
}

function blobPath(layout: string, { digest }: Descriptor): string {
  const [, algorithm, hex] = DIGEST.exec(digest) ?? [];
  if (algorithm === undefined || hex === undefined) throw broken(layout, `it has the digest ${digest}`);
  return join(layout, 'blobs', algorithm, hex);
}

/** `digest`: that it must have, if it is a blob. */
function readJson<T>(layout: string, path: string, digest?: string): T {
  try {
    const bytes = readFileSync(path);
    if (digest !== undefined) assertDigest(digest, hash('sha256', bytes));
    return JSON.parse(bytes.toString()) as T;
  } catch (cause) {
    throw broken(layout, messageOf(cause), cause);
  }
}

function readBlob<T>(layout: string, descriptor: Descriptor): T {
  return readJson(layout, blobPath(layout, descriptor), descriptor.digest);
}

/** `found`: in hexadecimal. */
function assertDigest(digest: string, found: string): void {
  if (digest !== `sha256:${found}`) throw new Error(`${digest} is damaged`);
}

/** The manifest of the image for this machine; an index may point to another index. */
function findManifest(layout: string): Index {
  let found = readJson<Index>(layout, join(layout, 'index.json'));
  for (let depth = 0; found.manifests !== undefined && depth < 3; depth += 1) {
    const first = found.manifests.find(
      ({ platform }) => platform === undefined || platform.architecture === ARCHITECTURES[process.arch],
    );
    if (first === undefined) throw broken(layout, `it has no image for ${process.arch}`);
    found = readBlob<Index>(layout, first);
  }
  return found;
}

/** Throws `image-build-failed`. */
export function readOciProgram(layout: string): OciProgram {
  const { config } = findManifest(layout);
  if (config === undefined) throw broken(layout, 'its manifest names no configuration');
  const { config: said = {} } = readBlob<{
    config?: { Entrypoint?: string[]; Cmd?: string[]; Env?: string[]; WorkingDir?: string };
  }>(layout, config);
  const env = (said.Env ?? []).map((line): [string, string] => {
    const at = line.indexOf('=');
    return [line.slice(0, at), line.slice(at + 1)];
  });
  return {
    command: [...(said.Entrypoint ?? []), ...(said.Cmd ?? [])],
    env: Object.fromEntries(env),
    folder: said.WorkingDir === undefined || said.WorkingDir === '' ? '/' : said.WorkingDir,
  };
}

/** Puts the layers into `tree`, from copies below `scratch`, which must stay as long as the tree is used. */
export async function readLayers(layout: string, tree: FileTree, scratch: string): Promise<void> {
  const { layers = [] } = findManifest(layout);
  for (const [at, layer] of layers.entries()) {
    const blob = blobPath(layout, layer);
    const folder = join(scratch, `layer-${at}`);
    await mkdir(folder, { recursive: true });
    try {
      assertDigest(layer.digest, await digestOf(blob));
      const devices = ['--anchored', '--exclude=dev/*', '--exclude=./dev/*'];
      const flags = ['--no-same-owner', '--delay-directory-restore', ...devices];
      await run('tar', ['-xf', blob, '-C', folder, ...flags], { maxBuffer: LISTING_BYTES_MAX });
      await run('chmod', ['-R', 'u+rwX', folder]);
    } catch (cause) {
      throw broken(layout, messageOf(cause), cause);
    }
    applyWhiteouts(new FileTree(false).copy(folder, '/'), tree);
    tree.copy(folder, '/', (path) => basename(path).startsWith(WHITEOUT));
  }
}

/** Copies what the image has at these paths to the same paths below `target`. `scratch`: where all layers are unpacked for that. */
export async function copyFromLayers(
  layout: string,
  paths: readonly string[],
  target: string,
  scratch: string,
): Promise<void> {
  const tree = new FileTree(false);
  await readLayers(layout, tree, scratch);
  for (const path of paths) {
    const entry = tree.entries.get(path);
    if (entry?.type !== 'file') continue;
    await mkdir(dirname(join(target, path)), { recursive: true });
    await copyFile(entry.source, join(target, path));
  }
}

/** What a layer takes away from those below it. Its links are not followed: unpacked, they lead to files of the host. */
function applyWhiteouts(layer: FileTree, tree: FileTree): void {
  for (const path of layer.entries.keys()) {
    const [name, above] = [basename(path), dirname(path)];
    if (name === OPAQUE) tree.empty(above);
    else if (name.startsWith(WHITEOUT)) tree.remove(join(above, name.slice(WHITEOUT.length)));
  }
}
