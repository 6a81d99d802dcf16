/**
 * The `qemu` driver: a domain is a virtual machine with a kernel of its own, cloned from a template of its image. A
 * boundary also against exploits of the guest's kernel; what is left to attack is QEMU and, with KVM, the host's
 * virtualisation.
 *
 * Templates are made when they are first needed, one for each kind of domain: same service, limits and opening. Where its machine
 * does not boot, it is booted once more.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { messageOf, SpareError } from '../../errors.ts';
import type { Domain, DomainSpec, Driver, ServiceImage } from '../domain.ts';
import { DEFAULT_AGENT } from '../process/package.ts';
import { removeFolder } from '../../remove-folder.ts';
import { findHypervisor, type Hypervisor } from './accelerator.ts';
import type { Suspension } from './body.ts';
import { buildBeside } from './image/building.ts';
import { findKernel } from './image/kernel.ts';
import type { Image } from './image/manifest.ts';
import { QemuDomain } from './qemu-domain.ts';
import { Template } from './template.ts';

export interface QemuDriverOptions {
  /** Where images and the memory of templates are kept; never shown in an image. */
  readonly folder: string;
  /** The agent's entry file, an absolute path. */
  readonly agent?: string;
  /** The guest's first process; Spare's own by default. */
  readonly init?: string;
  /** How deep a machine is suspended. */
  readonly suspension: Suspension;
  /** Told what takes long. */
  readonly progress: (line: string) => void;
}

/** In the folder of the driver. */
export const IMAGES = 'images';
/** Of the host: where its kernel package puts `boot` and `lib/modules`. */
const KERNEL_ROOT = '/';
/** After this a template is made anew: what is the same in all clones, such as where things lie in memory, changes. */
const TEMPLATE_MS_MAX = 6 * 3600 * 1000;
/** The same for one whose clones are outdated. */
const OUTDATED_MS_MAX = 600_000;
/** Enough for the variants of two versions. */
const TEMPLATES_MAX = 8;

/** Finds QEMU and whether KVM works. Throws `domain-start-failed` or `image-build-failed`. */
export async function createQemuDriver(options: QemuDriverOptions): Promise<Driver> {
  const hypervisor = await findHypervisor(findKernel(KERNEL_ROOT).path);
  return new QemuDriver(hypervisor, options);
}

/** Images are built one after the other: those of variants are often the same. */
let building: Promise<unknown> = Promise.resolve();

function imageOf(service: ServiceImage, options: QemuDriverOptions, signal: AbortSignal): Promise<Image> {
  const { folder, agent = DEFAULT_AGENT } = options;
  const images = join(folder, IMAGES);
  const build = building.then(() =>
    buildBeside({ ...options, service, agent, hidden: folder, images, kernel: KERNEL_ROOT }, signal),
  );
  building = build.catch(() => {});
  return build;
}

/** Builds what is not there yet, and checks all, unless `signal` is aborted: then throws its reason. Answers each image once. */
export async function buildImages(
  services: readonly ServiceImage[],
  options: QemuDriverOptions,
  signal: AbortSignal,
): Promise<Image[]> {
  const found = new Map<string, Image>();
  for (const service of services) {
    const image = await imageOf(service, options, signal);
    if (!found.has(image.folder)) await image.verify();
    found.set(image.folder, image);
  }
  return [...found.values()];
}

/** Removes all images but these from the driver's folder, where nobody else has any. */
export async function removeOtherImages(folder: string, kept: readonly Image[]): Promise<void> {
  const images = join(folder, IMAGES);
  const paths = (await readdir(images)).map((name) => join(images, name));
  const others = paths.filter((path) => kept.every((image) => image.folder !== path));
  for (const path of others) await rm(path, { recursive: true, force: true });
}

/** Of the template of such domains. */
function keyOf({ image, limits, opening }: DomainSpec): string {
  return JSON.stringify([image, limits, opening?.key]);
}

class QemuDriver implements Driver {
  readonly isolation: string;
  readonly privateNetwork = true;
  readonly #hypervisor: Hypervisor;
  readonly #options: QemuDriverOptions;
  readonly #templates = new Map<string, Promise<Template>>();
  readonly #renewing = new Set<string>();
  readonly #stopped = new AbortController();

  constructor(hypervisor: Hypervisor, options: QemuDriverOptions) {
    this.isolation = hypervisor.description;
    this.#hypervisor = hypervisor;
    this.#options = options;
  }

  stop(): void {
    this.#stopped.abort();
  }

  async start(spec: DomainSpec): Promise<Domain> {
    try {
      const template = await this.#template(spec);
      return new QemuDomain(await template.clone(), spec.directory);
    } catch (error) {
      await removeFolder(spec.directory);
      // Once it is built anew, what was made from it is of no use.
      if (error instanceof SpareError && error.code === 'image-damaged') this.#forget(keyOf(spec));
      if (error instanceof SpareError) throw error;
      throw new SpareError('domain-start-failed', `The machine did not start: ${messageOf(error)}.`, {
        hint: 'The data folder must be writable, with room for an image and the memory of a machine.',
        cause: error,
      });
    }
  }

  #forget(key: string): void {
    const template = this.#templates.get(key);
    this.#templates.delete(key);
    template?.then(
      (gone) => gone[Symbol.dispose](),
      () => {},
    );
  }

  #template(spec: DomainSpec): Promise<Template> {
    const key = keyOf(spec);
    const found = this.#templates.get(key) ?? this.#make(spec, false);
    this.#keep(key, found);
    found.then(
      (template) => this.#renewIfOld(key, spec, template),
      () => {
        // Forgotten meanwhile, and maybe made anew.
        if (this.#templates.get(key) === found) this.#templates.delete(key);
      },
    );
    return found;
  }

  /** The one used last comes last; those that nobody has used for longest go, as after a few deploys. */
  #keep(key: string, template: Promise<Template>): void {
    this.#templates.delete(key);
    this.#templates.set(key, template);
    if (this.#templates.size <= TEMPLATES_MAX) return;
    const [oldest] = this.#templates.keys();
    if (oldest !== undefined) this.#forget(oldest);
  }

  async #make({ image, limits, opening }: DomainSpec, behind: boolean): Promise<Template> {
    const { signal } = this.#stopped;
    const built = await imageOf(image, this.#options, signal);
    const { folder, suspension } = this.#options;
    const make = (): Promise<Template> =>
      Template.make({
        hypervisor: this.#hypervisor,
        image: built,
        limits,
        folder,
        opening,
        behind,
        signal,
        suspension,
      });
    try {
      return await make();
    } catch (error) {
      const mayBoot = error instanceof SpareError && error.code === 'domain-start-failed';
      if (!mayBoot || signal.aborted) throw error;
      // All that are to be cloned from it would have failed at once: more replicas than may fail.
      this.#options.progress(`machine    boots once more: ${error.message}`);
      return make();
    }
  }

  /** The old one serves until the new one is there. */
  #renewIfOld(key: string, spec: DomainSpec, old: Template): void {
    const limitMs = spec.renew === true ? OUTDATED_MS_MAX : TEMPLATE_MS_MAX;
    if (performance.now() - old.madeAtMs < limitMs || this.#renewing.has(key)) return;
    this.#renewing.add(key);
    const known = this.#templates.get(key);
    this.#make(spec, true)
      .then((made) => {
        // Forgotten meanwhile, and maybe made anew.
        if (this.#templates.get(key) !== known) return made[Symbol.dispose]();
        this.#templates.set(key, Promise.resolve(made));
        old[Symbol.dispose]();
      })
      // The next start tries again; until then there is the old one.
      .catch(() => {})
      .finally(() => this.#renewing.delete(key));
  }
}
