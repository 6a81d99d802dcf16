/** `exportState` beside whoever waits for it, and may be told to end. */
import { exportState } from '../backup/export.ts';
import { doJob } from '../thread.ts';
import { sourceOf } from './backup.ts';
import type { Settings } from './settings.ts';

export interface ExportOptions {
  readonly service: Pick<Settings, 'folder' | 'state'>;
  readonly backup: string;
  /** As of `exportState`. */
  readonly paths: readonly string[];
}

await doJob(({ service, backup, paths }: ExportOptions, progress) =>
  exportState(sourceOf(service, backup, progress), paths),
);
