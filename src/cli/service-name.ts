/** What identifies the service whose data a folder, or a backup, holds. */
import type { Settings } from './settings.ts';

const STATE = ', state: ';

/** `folder`: the one that the group was founded with. */
export function serviceName({ state }: Pick<Settings, 'state'>, folder: string): string {
  return `the service in ${folder}${STATE}${state.length === 0 ? 'none' : state.join(', ')}`;
}

/** The state files of a service by its name. Its folder may be another one on another host. */
export function stateFilesOf(service: string): string {
  return service.slice(service.lastIndexOf(STATE) + STATE.length);
}
