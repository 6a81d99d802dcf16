/**
 * The kernel that guests boot, as the distribution's package has it, and of its modules those that a guest needs: it
 * finds its disk and its ports through virtio, its root is erofs, and the service folder is an overlay.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { SpareError } from '../../../errors.ts';

const WANTED = ['virtio_pci', 'virtio_blk', 'virtio_console', 'erofs', 'overlay'];
const PREFIX = 'vmlinuz-';
const MODULE = /^(.*)\.ko(\.xz|\.zst|\.gz)?$/;
const UNPACK: Readonly<Record<string, readonly string[]>> = {
  '.xz': ['xz', '-dc'],
  '.zst': ['zstd', '-dcq'],
  '.gz': ['gzip', '-dc'],
};
const MODULE_BYTES_MAX = 64 * 1024 ** 2;

export interface KernelModule {
  readonly name: string;
  readonly content: Buffer;
}

export interface Kernel {
  readonly version: string;
  readonly path: string;
  /** In the order in which they are to be loaded. */
  readonly modules: readonly KernelModule[];
}

/** `root`: the folder that has `boot` and `lib/modules`. Throws `image-build-failed`. */
export function findKernel(root: string): Kernel {
  const boot = join(root, 'boot');
  const versions = existsSync(boot)
    ? readdirSync(boot)
        .filter((name) => name.startsWith(PREFIX))
        .map((name) => name.slice(PREFIX.length))
        .filter((version) => existsSync(join(root, 'lib/modules', version, 'kernel')))
    : [];
  const version = versions.sort(byFitness).at(-1);
  if (version === undefined) {
    throw new SpareError('image-build-failed', `There is no Linux kernel with its modules in ${boot}.`, {
      hint: 'Install one, such as: apt-get install linux-image-cloud-amd64',
    });
  }
  const folder = join(root, 'lib/modules', version);
  return { version, path: join(boot, PREFIX + version), modules: collectModules(folder) };
}

/** Kernels that are made for virtual machines before others, then the newest. */
function byFitness(a: string, b: string): number {
  const isCloud = (version: string): number => Number(/cloud|virt|kvm/.test(version));
  return isCloud(a) - isCloud(b) || a.localeCompare(b, 'en', { numeric: true });
}

function collectModules(folder: string): KernelModule[] {
  const builtIn = new Set(
    readFileSync(join(folder, 'modules.builtin'), 'utf8')
      .split('\n')
      .map((line) => nameOf(basename(line))),
  );
  const paths = new Map<string, string>();
  for (const path of readdirSync(join(folder, 'kernel'), { recursive: true, encoding: 'utf8' })) {
    if (MODULE.test(path)) paths.set(nameOf(basename(path)), join(folder, 'kernel', path));
  }
  const found = new Map<string, KernelModule>();
  const collect = (name: string): void => {
    if (builtIn.has(name) || found.has(name)) return;
    const path = paths.get(name);
    if (path === undefined) {
      throw new SpareError('image-build-failed', `The kernel in ${folder} has no module ${name}.`, {
        hint: 'Use a kernel that is made for virtual machines: apt-get install linux-image-cloud-amd64',
      });
    }
    const content = unpack(path);
    for (const needed of dependenciesOf(content)) collect(needed);
    found.set(name, { name, content });
  };
  for (const name of WANTED) collect(name);
  return [...found.values()];
}

/** File names have hyphens where names have underscores. */
function nameOf(file: string): string {
  return (MODULE.exec(file)?.[1] ?? file).replaceAll('-', '_');
}

function unpack(path: string): Buffer {
  const [program, ...args] = UNPACK[MODULE.exec(path)?.[2] ?? ''] ?? [];
  if (program === undefined) return readFileSync(path);
  return execFileSync(program, [...args, path], { maxBuffer: MODULE_BYTES_MAX });
}

/** As the module itself says, in its `.modinfo` section. */
function dependenciesOf(content: Buffer): string[] {
  const text = content.toString('latin1');
  const [, names = ''] = /\0depends=([^\0]*)\0/.exec(text) ?? [];
  return names.split(',').filter(Boolean).map(nameOf);
}
