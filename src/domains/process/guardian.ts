/**
 * A small process beside each domain that ends it when the manager is gone, however the manager went.
 *
 * Each process between manager and domain asks the system to be killed with its parent, which is quicker and
 * would be enough, if a domain could not take that back: its processes may trace the first process of their own
 * namespace, and make it forget. And a domain without pid namespace has no first process at all.
 *
 * G1. The guardian outlives the manager (its own session, no share in the manager's terminal) and then ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';

/** Waits for the end of its standard input, whose lines are process numbers; kills these, then all with the marker. */
const SCRIPT = `
while read -r pid; do pids="$pids $pid"; done
[ -z "$pids" ] || kill -9 $pids
[ -n "$1" ] || exit 0
for round in 1 2 3 4 5 6 7 8 9 10; do
  found=$(grep -lzxF "$1" /proc/[0-9]*/environ)
  [ -n "$found" ] || exit 0
  for path in $found; do path=\${path#/proc/}; kill -9 "\${path%/environ}"; done
done`;

export class Guardian {
  readonly #child: ChildProcess;

  /**
   * `marker` is an environment entry (`NAME=value`) that only processes of the domain carry; empty when killing
   * the processes given to `watch` takes all others along.
   */
  constructor(marker: string) {
    const args = ['-c', SCRIPT, 'sh', marker];
    this.#child = spawn('/bin/sh', args, { env: {}, stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    this.#child.on('error', () => {});
    this.#child.stdin?.on('error', () => {});
    this.#child.unref();
  }

  watch(pid: number): void {
    this.#child.stdin?.write(`${pid}\n`);
  }

  /** To be called once the domain is gone: its process numbers may soon be somebody else's. */
  release(): void {
    this.#child.kill('SIGKILL');
  }
}
