/** Threads of the manager: what blocks (the disk, digests) is done beside it. */
import module from 'node:module';
import { dirname } from 'node:path';
import { env } from 'node:process';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { type ErrorCode, messageOf, SpareError } from './errors.ts';

/** `file`: a module of this project. The thread loads it from the compile cache of the program, which Node hands on to none. */
export function startThread(file: URL, workerData?: object): Worker {
  const cache = module.getCompileCacheDir();
  if (cache === undefined) return new Worker(file, { workerData });
  // A cache is named without the folder of the engine's version in it.
  return new Worker(file, { workerData, env: { ...env, NODE_COMPILE_CACHE: dirname(cache) } });
}

/** An error on its way from a thread, where it would lose its class. */
export interface Failure {
  /** Null: it is no `SpareError`. */
  readonly code: ErrorCode | null;
  readonly message: string;
  readonly hint: string;
}

export function failureOf(error: unknown): Failure {
  const { code, hint } = error instanceof SpareError ? error : { code: null, hint: '' };
  return { code, message: messageOf(error), hint };
}

export function errorOf({ code, message, hint }: Failure): Error {
  return code === null ? new Error(message) : new SpareError(code, message, { hint });
}

type Answer<Result> =
  | { readonly type: 'progress'; readonly text: string }
  | { readonly type: 'done'; readonly result: Result }
  | ({ readonly type: 'failed' } & Failure);

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
        else reject(errorOf(answer));
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
    // A bug, of which the stack is wanted.
    if (!(error instanceof SpareError)) throw error;
    answer({ type: 'failed', ...failureOf(error) });
  }
}
