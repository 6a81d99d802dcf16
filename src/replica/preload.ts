/**
 * Where the libc layer of determinism is, once it is built. Lies beside the agent, because both are compiled into one file
 * (`compile.ts`), whose place is then what paths are relative to.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const PRELOAD: string = fileURLToPath(new URL('../../build/spare-preload.so', import.meta.url));

/** For `LD_PRELOAD`; null when it was not built. */
export function preloadPath(): string | null {
  return existsSync(PRELOAD) ? PRELOAD : null;
}
