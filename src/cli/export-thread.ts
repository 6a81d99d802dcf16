/** `exportState` beside whoever waits for it, and may be told to end. */
import { parentPort, workerData } from 'node:worker_threads';
import { exportState, type Exported } from '../backup/export.ts';
import { type ErrorCode, SpareError } from '../errors.ts';
import { sourceOf } from './backup.ts';
import type { Settings } from './settings.ts';

export interface ExportOptions {
  readonly service: Pick<Settings, 'folder' | 'state'>;
  readonly backup: string;
  /** As of `exportState`. */
  readonly paths: readonly string[];
}

export type ExportAnswer =
  | { readonly type: 'progress'; readonly text: string }
  | { readonly type: 'exported'; readonly exported: Exported }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string; readonly hint: string };

function answer(message: ExportAnswer): void {
  parentPort?.postMessage(message);
}

const { service, backup, paths } = workerData as ExportOptions;
try {
  const source = sourceOf(service, backup, (text) => answer({ type: 'progress', text }));
  answer({ type: 'exported', exported: exportState(source, paths) });
} catch (error) {
  // An error that is handed on loses its class.
  if (!(error instanceof SpareError)) throw error;
  const { code, message, hint } = error;
  answer({ type: 'failed', code, message, hint });
}
