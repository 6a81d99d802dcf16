/** What isolates the replicas, as the configuration says, and what must be there before the first one is started. */
import type { Driver } from '../domains/domain.ts';
import { createProcessDriver } from '../domains/process/driver.ts';
import {
  buildImages,
  createQemuDriver,
  type QemuDriverOptions,
  removeOtherImages,
} from '../domains/qemu/driver.ts';
import type { Settings } from './settings.ts';
import { variantsOf } from './deploy.ts';

/** Changes nothing. Throws `domain-start-failed`, `image-build-failed`. */
export async function createDriver(settings: Settings, log: (line: string) => void): Promise<Driver> {
  switch (settings.hypervisor) {
    case 'process':
      return createProcessDriver();
    case 'qemu':
      return createQemuDriver(qemuOptions(settings, log));
  }
}

/**
 * Builds what is not there yet, into the data folder, and checks all. `alone`: no group runs there, and other images are removed.
 * Throws `image-build-failed`, `image-damaged`, or the reason of `signal` once that is aborted.
 */
export async function prepareImages(
  settings: Settings,
  log: (line: string) => void,
  alone: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (settings.hypervisor === 'process') return;
  const images = await buildImages(variantsOf(settings), qemuOptions(settings, log), signal);
  if (alone) await removeOtherImages(settings.data, images);
  const digests = new Set(images.map(({ manifest }) => manifest.digest));
  for (const digest of digests) log(`image      sha256:${digest}`);
}

function qemuOptions({ data, suspension }: Settings, log: (line: string) => void): QemuDriverOptions {
  return { suspension, folder: data, progress: (line) => log(`image      ${line}`) };
}
