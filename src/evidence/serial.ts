/**
 * Work that is done one piece after another, beside the manager's loop, with a limit on how much of it may wait.
 *
 * S1. What fails does not keep the next from being done; it is told to `failed`, unless it was cut short.
 */
import { messageOf } from '../errors.ts';

export class Serial {
  readonly #waitingMax: number;
  readonly #failed: (message: string) => void;
  #waiting = 0;
  readonly #cut = new AbortController();
  #last: Promise<void> = Promise.resolve();

  constructor(waitingMax: number, failed: (message: string) => void) {
    this.#waitingMax = waitingMax;
    this.#failed = failed;
  }

  /** Once it is aborted, what is being done, or waits, is to be cut short. */
  get cut(): AbortSignal {
    return this.#cut.signal;
  }

  /** False when too much waits already: the work is not done. */
  add(work: () => Promise<void>): boolean {
    if (this.#waiting >= this.#waitingMax) return false;
    this.#waiting++;
    this.#last = this.#last
      .then(work)
      .catch((error: unknown) => (this.cut.aborted ? undefined : this.#failed(messageOf(error))))
      .finally(() => this.#waiting--);
    return true;
  }

  /** Resolves once all that was added is done, or cut short when `limit` is aborted. */
  async end(limit: AbortSignal): Promise<void> {
    const cut = (): void => this.#cut.abort();
    if (limit.aborted) cut();
    limit.addEventListener('abort', cut);
    await this.#last;
    limit.removeEventListener('abort', cut);
  }
}
