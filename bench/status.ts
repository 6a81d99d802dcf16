/** `/status` of the admin API, as the benchmark reads it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Status } from '../src/admin/admin.ts';

export type { Status };

/** Null while nobody answers. */
export async function statusOf(adminPort: number): Promise<Status | null> {
  try {
    const response = await fetch(`http://127.0.0.1:${adminPort}/status`);
    return (await response.json()) as Status;
  } catch {
    return null;
  }
}

export function count(status: Status, state: Status['replicas'][number]['state']): number {
  return status.replicas.filter((replica) => replica.state === state).length;
}

/** Resolves with the first status for which `test` holds. Throws an Error after `timeoutMs`. */
export async function untilStatus(
  adminPort: number,
  test: (status: Status) => boolean,
  options: { pollMs: number; timeoutMs: number },
): Promise<Status> {
  const until = performance.now() + options.timeoutMs;
  let last: Status | null = null;
  while (performance.now() < until) {
    last = await statusOf(adminPort);
    if (last !== null && test(last)) return last;
    await delay(options.pollMs);
  }
  throw new Error(`The group did not get there in ${options.timeoutMs} ms: ${JSON.stringify(last)}`);
}
