/**
 * Removes a folder that a captured replica has filled: with a million files, for each of which Node would keep a promise, with
 * folders that nobody may enter, or nested deeper than a path can say. So a process of its own does it.
 */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';

export async function removeFolder(folder: string): Promise<void> {
  const run = promisify(execFile);
  // Node throws at once where there is no memory for a process.
  const remove = async (): Promise<unknown> => await run('rm', ['-rf', '--', folder]);
  const enterAndRemove = async (): Promise<unknown> => {
    await run('chmod', ['-R', 'u+rwX', '--', folder]).catch(() => {});
    return await remove();
  };
  // In the end for want of descriptors or memory, as when a domain could not be started.
  await remove()
    .catch(enterAndRemove)
    .catch(() => rm(folder, { recursive: true, force: true }));
}
