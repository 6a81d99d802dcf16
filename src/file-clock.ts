/** Whether the times that the system keeps of a file tell that it has changed since it was read. */

/** The coarsest clock that a file system keeps times by. */
const CLOCK_MS = 2000;

/**
 * `changedMs`: its time of change (ctime), as it was before the file was read; `nowMs`: before that, too. False: it was changed so
 * shortly before that a further change may leave that time as it is.
 */
export function tellsChange(nowMs: number, changedMs: number): boolean {
  return nowMs - changedMs > CLOCK_MS;
}
