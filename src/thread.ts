/** Threads of the manager: what blocks (the disk, digests) is done beside it. */
import module from 'node:module';
import { dirname } from 'node:path';
import { env } from 'node:process';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { type ErrorCode, SpareError } from './errors.ts';

/** `file`: a module of this project. The thread loads it from the compile cache of the program, which Node hands on to none. */
export function startThread(file: URL, workerData?: object): Worker {
  const cache = module.getCompileCacheDir();
  if (cache === undefined) return new Worker(file, { workerData });
  // A cache is named without the folder of the engine's version in it.
  return new Worker(file, { workerData, env: { ...env, NODE_COMPILE_CACHE: dirname(cache) } });
}

type Answer<Result> =
  | { readonly type: 'progress'; readonly text: string }
  | { readonly type: 'done'; readonly result: Result }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string; readonly hint: string };

/**
 * Has one job done in a thread of its own; `file` calls `doJob`. Throws what the job throws, or the reason of `signal` once that is
 * aborted: nothing of the job goes on then.
 */
export async function doBeside<Result>(
  file: URL,
  options: object,
  { progress, signal }: { readonly progress?: (text: string) => void; readonly signal?: AbortSignal },
): Promise<Result> {
  signal?.throwIfAborted();
  const thread = startThread(file, options);
  const end = (): void => void thread.terminate();
  signal?.addEventListener('abort', end);
  try {
    return await new Promise<Result>((resolve, reject) => {
      thread.on('message', (answer: Answer<Result>) => {
        if (answer.type === 'progress') progress?.(answer.text);
        else if (answer.type === 'done') resolve(answer.result);
        else reject(new SpareError(answer.code, answer.message, { hint: answer.hint }));
      });
      thread.once('error', reject);
      thread.once('exit', () =>
        reject(signal?.aborted === true ? signal.reason : new Error('its thread ended')),
      );
    });
  } finally {
    signal?.removeEventListener('abort', end);
  }
}

/** The whole of a thread that `doBeside` starts. */
export async function doJob<Options, Result>(
  job: (options: Options, progress: (text: string) => void) => Result | Promise<Result>,
): Promise<void> {
  const answer = (message: Answer<Result>): void => parentPort?.postMessage(message);
  try {
    const result = await job(workerData as Options, (text) => answer({ type: 'progress', text }));
    answer({ type: 'done', result });
  } catch (error) {
    // An error that is handed on loses its class.
    if (!(error instanceof SpareError)) throw error;
    const { code, message, hint } = error;
    answer({ type: 'failed', code, message, hint });
  }
}
