/**
 * What Node tells of how busy its event loop is, as of one that is never late. What sheds load goes by that: each copy would
 * refuse other requests, and all of them for good what was measured while they started, since timers do not measure it anew.
 */
import perfHooks, { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';

const NS_PER_MS = 1_000_000;
const DEFAULT_RESOLUTION_MS = 10;

const eventLoopUtilization = () => ({ idle: 0, active: 0, utilization: 0 });

/** Its timer is due after `resolution`, and comes then. */
function monitorEventLoopDelay({ resolution = DEFAULT_RESOLUTION_MS } = {}) {
  const histogram = perfHooks.createHistogram();
  histogram.record(Math.round(resolution * NS_PER_MS));
  const nothing = () => {};
  const done = () => true;
  return Object.assign(histogram, { enable: done, disable: done, reset: nothing, [Symbol.dispose]: nothing });
}

export function installLoad() {
  Object.assign(perfHooks, { monitorEventLoopDelay });
  if ('eventLoopUtilization' in perfHooks) Object.assign(perfHooks, { eventLoopUtilization });
  Object.defineProperty(performance, 'eventLoopUtilization', {
    value: eventLoopUtilization,
    enumerable: true,
    writable: true,
    configurable: true,
  });
  // Of a thread, to who started it: its constructor sets that.
  Object.defineProperty(Worker.prototype, 'performance', {
    get: () => ({ eventLoopUtilization }),
    set() {},
    configurable: true,
  });
}
