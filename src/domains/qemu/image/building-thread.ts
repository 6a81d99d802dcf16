/** The thread that builds one image. */
import { doJob } from '../../../thread.ts';
import { buildImage, type BuildOptions } from './build.ts';
import type { Image } from './manifest.ts';

export type Built = Pick<Image, 'folder' | 'manifest'>;

await doJob(async (options: Omit<BuildOptions, 'progress'>, progress): Promise<Built> => {
  const { folder, manifest } = await buildImage({ ...options, progress });
  return { folder, manifest };
});
