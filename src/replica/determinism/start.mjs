/**
 * Whether this process is still starting: nothing of it listens yet, and the page still names entry 0. A start may
 * wait for a timeout (a retry, a pause) before it listens, so timeouts run by the real clock until then.
 */
import net from 'node:net';

export class Start {
  #page;
  #isOver = false;

  /** @param {import('./page.mjs').Page} page */
  constructor(page) {
    this.#page = page;
  }

  get isRunning() {
    if (!this.#isOver && this.#page.current().index > 0n) this.#isOver = true;
    return !this.#isOver;
  }

  /** @param {() => void} onOver when the first server of this process listens */
  watch(onOver) {
    const { listen } = net.Server.prototype;
    const start = this;
    net.Server.prototype.listen = function (...parts) {
      this.once('listening', () => {
        start.#isOver = true;
        onOver();
      });
      return listen.apply(this, parts);
    };
  }
}
