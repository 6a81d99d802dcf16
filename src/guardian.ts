/**
 * A small process beside each domain, or another program that must not outlive the manager, that ends it when the manager is gone,
 * however the manager went.
 *
 * The processes between manager and domain also ask the system to be killed with their parent, but that does not
 * reach everywhere: the outer bubblewrap may not signal the inner one, which runs as another user; a domain may
 * trace the first process of its namespace and make it forget; and a domain without pid namespace has none.
 *
 * G1. The guardian outlives the manager (its own session, no share in the manager's terminal) and then ends.
 * G2. It knows the domain's process group from the moment there is one.
 */
import type { ChildProcess } from 'node:child_process';

import { spawnPiped } from './spawn.ts';

/** Waits for the end of its standard input, whose lines say what to kill; kills that, then all with the marker. */
const SCRIPT = `
while read -r pid; do pids="$pids $pid"; done
for pid in $pids; do kill -9 "$pid"; done
[ -n "$1" ] || exit 0
for round in 1 2 3 4 5 6 7 8 9 10; do
  found=$(grep -lzxF "$1" /proc/[0-9]*/environ)
  [ -n "$found" ] || exit 0
  for path in $found; do path=\${path#/proc/}; kill -9 "\${path%/environ}"; done
done`;

export interface Guarded<Started> {
  readonly started: Started;
  readonly guardian: Guardian;
}

/**
 * Starts something with a guardian beside it; which of its processes that is to watch is still to be said. `marker`: as of `Guardian`.
 * Throws when either cannot be started, and then there is neither.
 */
export function guarded<Started>(marker: string, start: () => Started): Guarded<Started> {
  const guardian = new Guardian(marker);
  try {
    return { started: start(), guardian };
  } catch (error) {
    guardian.release();
    throw error;
  }
}

export class Guardian {
  readonly #child: ChildProcess;

  /**
   * `marker` is an environment entry (`NAME=value`) that only processes of the domain carry; empty when killing
   * the processes given to `watch` takes all others along. Throws when it cannot be started.
   */
  constructor(marker: string) {
    const args = ['-c', SCRIPT, 'sh', marker];
    this.#child = spawnPiped('/bin/sh', args, {
      env: {},
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#child.on('error', () => {});
    this.#child.stdin?.on('error', () => {});
    this.#child.unref();
    // As when there are too many processes; why comes later.
    if (this.#child.pid === undefined) throw new Error('no process can be started to guard it');
  }

  /** A process, or a process group if negative, that takes all others along when it is killed. */
  watch(pid: number): void {
    this.#child.stdin?.write(`${pid}\n`);
  }

  /** To be called once the domain is gone: its process numbers may soon be somebody else's. */
  release(): void {
    this.#child.kill('SIGKILL');
  }
}
