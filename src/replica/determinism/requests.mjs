/**
 * Which HTTP requests this process (or worker thread) is answering right now. Needs no cooperation of the service:
 * Node's own `diagnostics_channel` tells of every request before the service sees it.
 *
 * A request is over once its response has been ended, also when the last bytes are still on their way: the client may
 * have them already, and what runs from then on may run after the update of this entry was captured.
 * What the service does in the same turn of the event loop belongs to the request nevertheless, as do listeners that wait for
 * the end of the reply (access logs, often), and what these defer: until then the process is busy, and the agent waits for
 * it before it looks at the state.
 * Upgraded connections (WebSockets) have no response and are not requests in this sense.
 */
import { channel } from 'node:diagnostics_channel';

const { setImmediate, setTimeout } = globalThis;
const TURNS = 2;

export class Requests {
  /** @type {Set<import('node:http').ServerResponse>} */
  #responses = new Set();
  /** Whether this thread has been asked anything so far. */
  areSeen = false;

  /** Whether a reply is still outstanding. */
  get inFlight() {
    for (const response of this.#responses) if (!response.writableEnded) return true;
    return false;
  }

  /**
   * @param {() => void} onStart before the service sees a request
   * @param {() => void} onIdle when the last request in flight is over
   * @param {(isBusy: boolean) => void} onBusy whether something may still be done that belongs to a request
   * @param {() => number} deferrals timeouts that only wait for the end of a turn
   */
  watch(onStart, onIdle, onBusy, deferrals) {
    const settle = (turns, mayDefer) => {
      if (this.#responses.size > 0) return;
      if (turns > 0) setImmediate(settle, turns - 1, mayDefer);
      else if (mayDefer && deferrals() > 0) setTimeout(settle, 1, 1, false);
      else onBusy(false);
    };
    channel('http.server.request.start').subscribe(({ response }) => {
      this.areSeen = true;
      this.#responses.add(response);
      response.once('close', () => {
        this.#responses.delete(response);
        if (!this.inFlight) onIdle();
        settle(TURNS, true);
      });
      onBusy(true);
      onStart();
    });
  }
}
