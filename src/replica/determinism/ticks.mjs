/**
 * The process's side of the tick channel (`tick.ts`): on `tick` it runs the timers that are due, waits until what they
 * started has settled, and answers `done`. Without a socket there are no ticks, and nothing else changes.
 *
 * "Settled" cannot be known for sure. Awaited are: promises that callbacks returned (which covers native database
 * drivers under `async` callbacks), requests to the system or the thread pool that `async_hooks` tells of (files, name
 * lookups, connections, hashes), and deferrals. Work that shows in none of these and outlives its tick is not part of
 * it. The hooks are on during ticks only: they slow promises down.
 *
 * S1. What one timer started has settled before the next one runs, so that both do their work in the same order in every
 *     replica.
 * S2. A tick waits for `SETTLE_MS_MAX` at the most, all together; for one timer `ASLEEP_MS_MAX`, when all that can be seen
 *     to be left of it is a callback that may be asleep on a timer of its own, which only a later tick can run.
 * S3. The channel never keeps the process alive.
 */
import { createHook } from 'node:async_hooks';
import { createConnection } from 'node:net';
import process from 'node:process';

const { setImmediate, setTimeout } = globalThis;
const SETTLE_MS_MAX = 2000;
const ASLEEP_MS_MAX = 100;
const QUIET_ROUNDS = 3;
const ANSWER = 'done\n';

const nextTurn = () => new Promise((resolve) => void setImmediate(resolve));
const shortWhile = () => new Promise((resolve) => void setTimeout(resolve, 1));
/** Real milliseconds. `performance.now` is not replaced yet when this module is loaded, but it will be. */
const realTime = process.hrtime.bigint;
const realMs = () => Number(realTime() / 1_000_000n);

/** Requests that were made since it exists and have not been answered: `FSREQPROMISE`, `PBKDF2REQUEST` … */
class OpenRequests {
  #ids = new Set();
  #hook = createHook({
    init: (id, type, _trigger, resource) => {
      if (type === 'ZLIB') this.#watchWrites(id, resource);
      else if (/REQ|QUERYWRAP|CONNECTWRAP|WRITEWRAP|SHUTDOWNWRAP/.test(type)) this.#ids.add(id);
    },
    // Not `after`: a compressor that is answered may have been asked for more by then, under the same number.
    before: (id) => void this.#ids.delete(id),
    destroy: (id) => void this.#ids.delete(id),
    trackPromises: false,
  }).enable();

  /** A compressor works piece by piece, each of which is a request. */
  #watchWrites(id, compressor) {
    const { write } = compressor;
    compressor.write = (...parts) => {
      this.#ids.add(id);
      return Reflect.apply(write, compressor, parts);
    };
  }

  get count() {
    return this.#ids.size;
  }

  stop() {
    this.#hook.disable();
  }
}

/** Runs a timer in a turn of its own, as Node does: an exception is uncaught. Resolves to what becomes of its callback. */
function run(queue, timer) {
  return new Promise((resolve) => {
    setImmediate(() => {
      const work = { isSettled: true };
      const settled = () => void (work.isSettled = true);
      try {
        const result = queue.fire(timer);
        if (typeof result?.then !== 'function') return;
        work.isSettled = false;
        result.then(settled, settled);
      } finally {
        resolve(work);
      }
    });
  });
}

async function runTick(queue) {
  const requests = new OpenRequests();
  const tickMs = realMs();
  for (const timer of queue.due()) {
    const startedBefore = queue.started;
    const startMs = realMs();
    const work = await run(queue, timer);
    for (let quiet = 0; quiet < QUIET_ROUNDS;) {
      await nextTurn();
      const isBusy = requests.count > 0 || queue.deferrals > 0;
      quiet = isBusy || !work.isSettled ? 0 : quiet + 1;
      if (quiet > 0) continue;
      const mayBeAsleep = !isBusy && queue.hasWaitingSince(startedBefore);
      if (realMs() - tickMs > SETTLE_MS_MAX || (mayBeAsleep && realMs() - startMs > ASLEEP_MS_MAX)) break;
      await shortWhile();
    }
  }
  requests.stop();
}

/**
 * Resolves once the channel is connected, or cannot be.
 *
 * @param {string | undefined} path
 * @param {import('./queue.mjs').TimerQueue} queue
 */
export async function connectTicks(path, queue) {
  if (!path) return;
  const socket = createConnection(path);
  let ticks = Promise.resolve();
  let received = '';
  socket.setEncoding('latin1');
  socket.on('data', (text) => {
    const lines = (received + text).split('\n');
    received = lines.pop();
    for (const line of lines) {
      if (line === 'tick') ticks = ticks.then(() => runTick(queue)).then(() => socket.write(ANSWER));
    }
  });
  await new Promise((resolve) => {
    socket.once('connect', resolve);
    socket.on('error', resolve);
  });
  socket.unref();
}
