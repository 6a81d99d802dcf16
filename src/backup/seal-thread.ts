/** `seal` beside the manager's loop. */
import { parentPort, workerData } from 'node:worker_threads';
import { seal, type SealOptions } from './seal.ts';

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- threads have no origin
parentPort?.postMessage(seal(workerData as SealOptions));
