/**
 * Lets the agent interrupt nobody who works: when it is woken, it waits until the other rests, or has had its share.
 *
 * On a busy host it would otherwise take the processor, and what its caches hold, from a service or the manager twice a request;
 * that costs about a twentieth of the throughput. Not so the service: clients wait for it, and it would wait for whatever else
 * the host does, such as starting another replica.
 */
import { execFile } from 'node:child_process';

/** Of util-linux; without it things go on as they are. */
const CHRT = '/usr/bin/chrt';

/** For the threads that this process has, and those that it starts from now on. Resolves when it is done, or cannot be. */
export function interruptNobody(): Promise<void> {
  return new Promise((resolve) => {
    execFile(CHRT, ['--all-tasks', '--batch', '--pid', '0', String(process.pid)], () => resolve());
  });
}
