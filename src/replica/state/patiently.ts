const RETRIES = 200;
const RETRY_MS = 5;
const NOBODY = new Int32Array(new SharedArrayBuffer(4));

/** Tries again for a second, in which nothing else is done here; returns whether the action did succeed. */
export function patiently(action: () => boolean): boolean {
  for (let retry = 0; retry < RETRIES; retry += 1) {
    if (action()) return true;
    Atomics.wait(NOBODY, 0, 0, RETRY_MS);
  }
  return false;
}
