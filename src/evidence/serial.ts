/**
 * Work that is done one piece after another, beside the manager's loop, with a limit on how much of it may wait.
 *
 * S1. What fails does not keep the next from being done; it is told to `failed`.
 */
import { messageOf } from '../errors.ts';

export class Serial {
  readonly #waitingMax: number;
  readonly #failed: (message: string) => void;
  #waiting = 0;
  #closed = false;
  #last: Promise<void> = Promise.resolve();

  constructor(waitingMax: number, failed: (message: string) => void) {
    this.#waitingMax = waitingMax;
    this.#failed = failed;
  }

  /** False when too much waits already: the work is not done. */
  add(work: () => Promise<void>): boolean {
    if (this.#waiting >= this.#waitingMax) return false;
    this.#waiting++;
    this.#last = this.#last
      .then(work)
      .catch((error: unknown) => (this.#closed ? undefined : this.#failed(messageOf(error))))
      .finally(() => this.#waiting--);
    return true;
  }

  /** Resolves once all that was added is done; what fails from now on is told to nobody. */
  close(): Promise<void> {
    this.#closed = true;
    return this.#last;
  }
}
