/**
 * Puts the timers of `queue.mjs` in the place of Node's: the globals, `node:timers`, `node:timers/promises`,
 * `util.promisify(setTimeout)` and `AbortSignal.timeout`. `setImmediate` stays, it waits for no clock.
 *
 * I1. Node's own timers are untouched. They hold the original functions from the time their module was loaded, which
 *     is why those that take them from `node:timers` and that services use are loaded here, before anything is replaced. (The
 *     exceptions follow the rules of the service's timers: the `fetch` of Node uses the globals, and `node:http2`, which takes far
 *     longer to load, has one timer: for a connection that it wants to be closed.)
 * I2. Arguments are checked by the originals: whatever they would refuse is passed to them.
 */
import { createRequire } from 'node:module';
import timers from 'node:timers';
import promises from 'node:timers/promises';
import { promisify } from 'node:util';
import { Timeout } from './queue.mjs';

// Not imported: that would read all that `node:http` offers, and so load a WebSocket client: more than all of Node's own start.
const require = createRequire(import.meta.url);
for (const name of ['child_process', 'http']) require(`node:${name}`);

function abortError(signal) {
  const error = new Error('The operation was aborted', { cause: signal.reason });
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
}

/** Whether the original would accept the arguments of a promised timer. */
function isAccepted(delay, options) {
  if (typeof delay !== 'number' && delay !== undefined) return false;
  if (options === undefined) return true;
  if (options === null || typeof options !== 'object') return false;
  const { signal, ref } = options;
  return (
    (signal === undefined || signal instanceof AbortSignal) && (ref === undefined || typeof ref === 'boolean')
  );
}

/** @param {import('./queue.mjs').TimerQueue} queue */
function callbackTimers(queue) {
  const original = { ...timers };
  function setTimeout(callback, delay, ...parts) {
    if (typeof callback !== 'function') return original.setTimeout(callback);
    return queue.add(callback, delay, parts, false);
  }
  function setInterval(callback, delay, ...parts) {
    if (typeof callback !== 'function') return original.setInterval(callback);
    return queue.add(callback, delay, parts, true);
  }
  function clear(timer) {
    const isId = typeof timer === 'number' || typeof timer === 'string';
    const ours = isId ? queue.byId(timer) : timer;
    if (ours instanceof Timeout) queue.clear(ours);
    else original.clearTimeout(timer);
  }
  const clearTimeout = (timer) => clear(timer);
  const clearInterval = (timer) => clear(timer);
  return { setTimeout, setInterval, clearTimeout, clearInterval };
}

/** @param {import('./queue.mjs').TimerQueue} queue */
function promisedTimers(queue) {
  const original = { ...promises };
  function start(callback, delay, options, repeats) {
    const timer = queue.add(callback, delay, [], repeats);
    return options?.ref === false ? timer.unref() : timer;
  }
  async function setTimeout(delay, value, options) {
    if (!isAccepted(delay, options)) return original.setTimeout(delay, value, options);
    const signal = options?.signal;
    if (signal?.aborted) throw abortError(signal);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        queue.clear(timer);
        reject(abortError(signal));
      };
      const onTime = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve(value);
      };
      const timer = start(onTime, delay, options, false);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
  async function* setInterval(delay, value, options) {
    if (!isAccepted(delay, options)) yield* original.setInterval(delay, value, options);
    const signal = options?.signal;
    let rounds = 0;
    let wake = () => {};
    const onAbort = () => wake();
    const onTime = () => {
      rounds += 1;
      wake();
    };
    const timer = start(onTime, delay, options, true);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        if (signal?.aborted) throw abortError(signal);
        if (rounds === 0) await new Promise((resolve) => void (wake = resolve));
        for (; rounds > 0; rounds -= 1) yield value;
      }
    } finally {
      queue.clear(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }
  return { setTimeout, setInterval };
}

/** The signal aborts by the rules of any other timeout. */
function abortSignalTimeout(queue) {
  const original = AbortSignal.timeout.bind(AbortSignal);
  return function timeout(delay) {
    if (!Number.isInteger(delay) || delay < 0 || delay > 2 ** 31 - 1) return original(delay);
    const controller = new AbortController();
    const message = 'The operation was aborted due to timeout';
    const abort = () => controller.abort(new DOMException(message, 'TimeoutError'));
    queue.add(abort, Math.max(delay, 2), [], false).unref();
    return controller.signal;
  };
}

/** @param {import('./queue.mjs').TimerQueue} queue */
export function installTimers(queue) {
  const ordinary = callbackTimers(queue);
  const promised = promisedTimers(queue);
  Object.defineProperty(ordinary.setTimeout, promisify.custom, {
    value: promised.setTimeout,
    enumerable: true,
  });
  Object.assign(globalThis, ordinary);
  Object.assign(timers, ordinary);
  Object.assign(promises, promised);
  const { scheduler } = promises;
  if (scheduler) scheduler.wait = (delay, options) => promised.setTimeout(delay, undefined, options);
  AbortSignal.timeout = abortSignalTimeout(queue);
}
