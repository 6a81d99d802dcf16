/**
 * Builds an image beside the manager: to look at all files of a service, if only to see that they are those of the image that is there,
 * takes longer than clients can wait, and seconds where the disk has to be asked for each.
 */
import { doBeside } from '../../../thread.ts';
import type { BuildOptions } from './build.ts';
import type { Built } from './building-thread.ts';
import { Image } from './manifest.ts';

/** Throws what `buildImage` throws, or the reason of `signal` once that is aborted: then a draft may be left. */
export async function buildBeside(
  { progress, ...options }: BuildOptions,
  signal: AbortSignal,
): Promise<Image> {
  const thread = new URL('./building-thread.ts', import.meta.url);
  const { folder, manifest } = await doBeside<Built>(thread, options, { progress, signal });
  return new Image(folder, manifest);
}
