/**
 * Builds an image beside the manager: to look at all files of a service, if only to see that they are those of the image that is there,
 * takes longer than clients can wait, and seconds where the disk has to be asked for each.
 */
import { SpareError } from '../../../errors.ts';
import { startThread } from '../../../thread.ts';
import type { BuildOptions } from './build.ts';
import type { BuildingAnswer } from './building-thread.ts';
import { Image } from './manifest.ts';

/** Throws what `buildImage` throws. */
export function buildBeside({ progress, ...options }: BuildOptions): Promise<Image> {
  const thread = startThread(new URL('./building-thread.ts', import.meta.url), options);
  return new Promise((resolve, reject) => {
    thread.on('message', (answer: BuildingAnswer) => {
      if (answer.type === 'progress') progress(answer.line);
      else if (answer.type === 'built') resolve(new Image(answer.folder, answer.manifest));
      else reject(new SpareError(answer.code, answer.message, { hint: answer.hint }));
    });
    thread.once('error', reject);
    thread.once('exit', () => reject(new Error('the thread that builds it ended')));
  });
}
