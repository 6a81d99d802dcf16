/**
 * Lets go of large files. Their room is given back when the last descriptor of a file without a name is closed, which takes the system
 * 50 ms of CPU for a gigabyte, and longer where the disk is busy: so that is done beside the loop.
 */
import { close, openSync, rmSync } from 'node:fs';

export function closeBeside(fd: number): void {
  close(fd, () => {});
}

/** If it is there. Its name is gone at once. */
export function removeFile(path: string): void {
  const fd = opened(path);
  rmSync(path, { force: true });
  if (fd !== null) closeBeside(fd);
}

/** Null where there is none, or too much is open: then it is removed all the same. */
function opened(path: string): number | null {
  try {
    return openSync(path, 'r');
  } catch {
    return null;
  }
}
