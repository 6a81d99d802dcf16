/**
 * What is read takes time of the manager, some milliseconds with a thousand incidents, and everybody on the host may ask: one after
 * another, with a pause as long after each, so that clients and replicas are heard. Not for who has left by then.
 */
import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

export class Turns {
  readonly #waitingMax: number;
  readonly #waiting = new Set<ServerResponse>();
  #last: Promise<void> = Promise.resolve();

  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax;
  }

  /** As many wait as may, or are being answered. */
  get full(): boolean {
    return this.#waiting.size >= this.#waitingMax;
  }

  take(response: ServerResponse, work: () => Promise<void>): void {
    const done = (): boolean => this.#waiting.delete(response);
    this.#waiting.add(response);
    response.once('close', done);
    this.#last = this.#last.then(async () => {
      if (response.destroyed) return;
      const began = performance.now();
      await work();
      // Who takes the answer slowly has had his turn.
      done();
      await delay(performance.now() - began);
    });
  }
}
