/**
 * The clocks a Node service can ask, as functions of the agreed time: `performance.now`, `performance.timeOrigin`,
 * `process.hrtime`, `process.uptime`, and `Date` if the libc layer is not there to answer it.
 *
 * L1. None of them goes back, none advances within an entry: a loop that waits for the clock waits for ever.
 * L2. Node's own use of the monotonic clock (timeouts of sockets, the event loop) stays real; so do
 *     `performance.mark` and `measure`, which are for looking at the real machine.
 *
 * Without the libc layer, clocks that the engine asks natively stay real: `Temporal.Now`, `Intl.DateTimeFormat` without
 * a date, `Date` in other `vm` contexts.
 */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import process from 'node:process';

const NS_PER_MS = 1_000_000n;
const NS_PER_S = 1_000_000_000n;

/** Whether this process runs under the libc layer. If that cannot be told, `Date` is replaced, which never hurts. */
export function hasPreload() {
  try {
    return readFileSync('/proc/self/maps', 'latin1').includes('/spare-preload.so');
  } catch {
    return false;
  }
}

/** A `Date` that is the original in everything but what "now" is. */
function agreedDate(nowMs) {
  const Original = Date;
  Original.now = function now() {
    return nowMs();
  };
  const Agreed = new Proxy(Original, {
    apply: () => new Original(nowMs()).toString(),
    construct: (target, parts, newTarget) =>
      Reflect.construct(target, parts.length === 0 ? [nowMs()] : parts, newTarget),
  });
  Object.defineProperty(Original.prototype, 'constructor', {
    value: Agreed,
    writable: true,
    configurable: true,
  });
  return Agreed;
}

function highResolutionTime(nowMs) {
  const original = process.hrtime;
  function hrtime(since) {
    if (since !== undefined) original(since); // throws for what is no [seconds, nanoseconds]
    const now = hrtime.bigint();
    const past = since === undefined ? 0n : BigInt(since[0]) * NS_PER_S + BigInt(since[1]);
    const passed = now > past ? now - past : 0n;
    return [Number(passed / NS_PER_S), Number(passed % NS_PER_S)];
  }
  hrtime.bigint = () => BigInt(nowMs()) * NS_PER_MS;
  return hrtime;
}

/**
 * @param {import('./page.mjs').Page} page
 * @param {number} originMs the agreed time from which they count
 */
export function installClocks(page, originMs) {
  let latestMs = originMs;
  const nowMs = () => {
    latestMs = Math.max(latestMs, page.current().timeMs);
    return latestMs;
  };
  const values = { now: () => nowMs() - originMs, timeOrigin: originMs };
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(performance, name, { value, enumerable: true, writable: true, configurable: true });
  }
  process.hrtime = highResolutionTime(nowMs);
  process.uptime = () => (nowMs() - originMs) / 1000;
  if (!hasPreload()) globalThis.Date = agreedDate(nowMs);
}
