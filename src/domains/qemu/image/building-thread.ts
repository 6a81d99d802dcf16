/** The thread that builds one image. */
import { parentPort, workerData } from 'node:worker_threads';
import { type ErrorCode, SpareError } from '../../../errors.ts';
import { buildImage, type BuildOptions } from './build.ts';
import type { Manifest } from './manifest.ts';

export type BuildingAnswer =
  | { readonly type: 'progress'; readonly line: string }
  | { readonly type: 'built'; readonly folder: string; readonly manifest: Manifest }
  | { readonly type: 'refused'; readonly code: ErrorCode; readonly message: string; readonly hint: string };

function tell(answer: BuildingAnswer): void {
  parentPort?.postMessage(answer);
}

try {
  const options = workerData as Omit<BuildOptions, 'progress'>;
  const { folder, manifest } = await buildImage({
    ...options,
    progress: (line) => tell({ type: 'progress', line }),
  });
  tell({ type: 'built', folder, manifest });
} catch (error) {
  if (!(error instanceof SpareError)) throw error;
  const { code, message, hint } = error;
  tell({ type: 'refused', code, message, hint });
}
