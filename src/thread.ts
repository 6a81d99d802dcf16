/** Threads of the manager: what blocks (the disk, digests) is done beside it. */
import module from 'node:module';
import { dirname } from 'node:path';
import { env } from 'node:process';
import { Worker } from 'node:worker_threads';

/** `file`: a module of this project. The thread loads it from the compile cache of the program, which Node hands on to none. */
export function startThread(file: URL, workerData?: object): Worker {
  const cache = module.getCompileCacheDir();
  if (cache === undefined) return new Worker(file, { workerData });
  // A cache is named without the folder of the engine's version in it.
  return new Worker(file, { workerData, env: { ...env, NODE_COMPILE_CACHE: dirname(cache) } });
}
