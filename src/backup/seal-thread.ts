/** `seal` beside the manager's loop. */
import { parentPort, workerData } from 'node:worker_threads';
import { seal, type SealOptions } from './seal.ts';

parentPort?.postMessage(seal(workerData as SealOptions));
