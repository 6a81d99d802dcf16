/**
 * Which HTTP requests this process (or worker thread) is answering right now. Needs no cooperation of the service:
 * Node's own `diagnostics_channel` tells of every request before the service sees it.
 *
 * A request is over once its response has been ended, also when the last bytes are still on their way: the client may
 * have them already, and what runs from then on may run after the update of this entry was captured.
 * Upgraded connections (WebSockets) have no response and are not requests in this sense.
 */
import { channel } from 'node:diagnostics_channel';

export class Requests {
  /** @type {Set<import('node:http').ServerResponse>} */
  #responses = new Set();

  /** Whether a reply is still outstanding. */
  get inFlight() {
    for (const response of this.#responses) if (!response.writableEnded) return true;
    return false;
  }

  /**
   * @param {() => void} onStart before the service sees a request
   * @param {() => void} onIdle when the last request in flight is over
   */
  watch(onStart, onIdle) {
    channel('http.server.request.start').subscribe(({ response }) => {
      this.#responses.add(response);
      response.once('close', () => {
        this.#responses.delete(response);
        if (!this.inFlight) onIdle();
      });
      onStart();
    });
  }
}
