/**
 * Timers that do not run outside an entry of the order.
 *
 * Q1. A timer set while no request is in flight never runs by the real clock. Ticks run it: one whose span
 *     (tickFrom, time] contains the timer's due time, or for an interval any point `created + k * delay` of its grid;
 *     once per tick, in the order of due times, then of creation. A due time at or before `tickFrom` has passed on the
 *     replicas that saw the earlier ticks, so that timer is dropped. All is a function of creation and span: a replica
 *     that joins late needs no history. (What a timer re-arms inside a tick is history: only intervals survive that.)
 * Q2. A timer set while a request is in flight runs by the real clock until the reply is complete, because the reply
 *     may wait for it; if it is still pending then, Q1 applies, counted from the agreed time of the request. A thread or process
 *     that answers no requests itself works for that of the entry.
 * Q3. A timeout of 0 or 1 ms is a way to say "after this turn", not a time: it always runs at once, like `setImmediate`.
 * Q4. A timeout set before the service listens runs by the real clock until then, because the start may wait for it
 *     (`start.mjs`); an interval does not.
 * Q5. A pending timer keeps the process alive unless it was unref'd, as usual.
 */
import { AsyncResource } from 'node:async_hooks';

const real = {
  setTimeout: globalThis.setTimeout,
  setInterval: globalThis.setInterval,
  clearTimeout: globalThis.clearTimeout,
};
const DELAY_MS_MAX = 2 ** 31 - 1;
const DEFERRAL_MS = 1;

/** Looks like Node's own `Timeout`. */
export class Timeout extends AsyncResource {
  /** @param {TimerQueue} queue */
  constructor(queue, callback, delay, parts, repeats) {
    super('Timeout');
    const ms = Math.trunc(Number(delay));
    this.queue = queue;
    this.callback = callback;
    this.delayMs = ms >= 1 && ms <= DELAY_MS_MAX ? ms : 1;
    this.parts = parts;
    this.repeats = repeats;
    this.isRefed = true;
    this.createdMs = 0;
    /** The index of the entry in which it was set. */
    this.index = 0n;
    /** Its place in the order of creation. */
    this.serial = 0;
    /** The timer of the real clock, while that one runs it. */
    this.real = null;
    /** Whether it is counted among those that keep the process alive. */
    this.holds = false;
  }

  get isDeferral() {
    return !this.repeats && this.delayMs === DEFERRAL_MS;
  }

  /** The due time after `fromMs`, of a timeout the only one. */
  dueMs(fromMs) {
    if (!this.repeats) return this.createdMs + this.delayMs;
    const round = Math.max(1, Math.floor((fromMs - this.createdMs) / this.delayMs) + 1);
    return this.createdMs + round * this.delayMs;
  }

  run() {
    if (this.callback !== null) return this.runInAsyncScope(this.callback, this, ...this.parts);
  }

  ref() {
    return this.queue.setRef(this, true);
  }

  unref() {
    return this.queue.setRef(this, false);
  }

  hasRef() {
    return this.isRefed;
  }

  refresh() {
    if (this.callback !== null) this.queue.start(this);
    return this;
  }

  close() {
    this.queue.clear(this);
    return this;
  }

  [Symbol.toPrimitive]() {
    return this.queue.idOf(this);
  }
}
if (Symbol.dispose) {
  Object.defineProperty(Timeout.prototype, Symbol.dispose, {
    value() {
      this.close();
    },
  });
}

export class TimerQueue {
  #page;
  #requests;
  #start;
  /** @type {Set<Timeout>} in the order of creation */
  #pending = new Set();
  /** Timers whose number somebody asked for. */
  #byId = new Map();
  #nextId = 1;
  /** A real timer that never fires, but keeps the process alive while one of ours should (Q5). */
  #anchor = real.setInterval(() => {}, DELAY_MS_MAX).unref();
  #holding = 0;
  /** How many timers have been set so far. */
  started = 0;

  /**
   * @param {import('./page.mjs').Page} page
   * @param {import('./requests.mjs').Requests} requests
   * @param {import('./start.mjs').Start} start
   */
  constructor(page, requests, start) {
    this.#page = page;
    this.#requests = requests;
    this.#start = start;
  }

  /** How many deferrals (Q3) are about to run. */
  get deferrals() {
    return [...this.#pending].filter((timer) => timer.isDeferral).length;
  }

  /** Whether a timer waits for a tick that was set after the first `started` ones. */
  hasWaitingSince(started) {
    for (const timer of this.#pending) if (timer.serial > started && !timer.isDeferral) return true;
    return false;
  }

  add(callback, delay, parts, repeats) {
    return this.start(new Timeout(this, callback, delay, parts, repeats));
  }

  /** Starts, or starts anew, a timer at the agreed time. */
  start(timer) {
    this.#stop(timer);
    timer.serial = ++this.started;
    ({ timeMs: timer.createdMs, index: timer.index } = this.#page.current());
    this.#pending.add(timer);
    if (this.#isReal(timer)) this.#startReal(timer);
    this.#hold(timer);
    return timer;
  }

  clear(timer) {
    this.#stop(timer);
    timer.callback = null;
  }

  setRef(timer, isRefed) {
    timer.isRefed = isRefed;
    if (isRefed) timer.real?.ref();
    else timer.real?.unref();
    this.#hold(timer);
    return timer;
  }

  idOf(timer) {
    timer.id ??= this.#nextId++;
    if (this.#pending.has(timer)) this.#byId.set(timer.id, timer);
    return timer.id;
  }

  byId(id) {
    return this.#byId.get(Number(id));
  }

  /** Leaves what the real clock was running to the ticks. */
  park() {
    for (const timer of this.#pending) if (timer.real !== null && !timer.isDeferral) this.#stopReal(timer);
  }

  /** What the tick of the current page has to run, in order; drops what other replicas ran in an earlier one. */
  due() {
    const { tickFromMs, timeMs } = this.#page.read();
    const due = [];
    for (const timer of this.#pending) {
      if (timer.real !== null && !this.#isReal(timer)) this.#stopReal(timer);
      if (timer.real !== null) continue;
      const dueMs = timer.dueMs(tickFromMs);
      if (dueMs <= tickFromMs) this.#stop(timer);
      else if (dueMs <= timeMs) due.push({ timer, dueMs });
    }
    return due.sort((a, b) => a.dueMs - b.dueMs).map(({ timer }) => timer);
  }

  /** Runs one timer of a tick, unless an earlier one cleared or refreshed it. Returns what its callback returned. */
  fire(timer) {
    const { tickFromMs, timeMs } = this.#page;
    if (timer.callback === null || timer.dueMs(tickFromMs) > timeMs) return undefined;
    if (!timer.repeats) this.#stop(timer);
    return timer.run();
  }

  /** Whether the real clock runs it at this moment. */
  #isReal(timer) {
    if (timer.isDeferral || this.#requests.inFlight || this.#isForAnother(timer)) return true;
    return !timer.repeats && this.#start.isRunning;
  }

  /** Whether it was set for a request that another thread or process is still answering. */
  #isForAnother(timer) {
    return !this.#requests.areSeen && this.#page.isAsked && this.#page.read().index === timer.index;
  }

  #startReal(timer) {
    const start = timer.repeats ? real.setInterval : real.setTimeout;
    timer.real = start(() => this.#onReal(timer), timer.delayMs);
    if (!timer.isRefed) timer.real.unref();
  }

  #onReal(timer) {
    if (!this.#isReal(timer)) {
      this.#stopReal(timer);
      return;
    }
    if (!timer.repeats) this.#stop(timer);
    timer.run();
  }

  #stopReal(timer) {
    real.clearTimeout(timer.real);
    timer.real = null;
    this.#hold(timer);
  }

  #stop(timer) {
    this.#pending.delete(timer);
    this.#byId.delete(timer.id);
    if (timer.real === null) this.#hold(timer);
    else this.#stopReal(timer);
  }

  /** Keeps the process alive while a timer waits for ticks that is not unref'd (Q5). */
  #hold(timer) {
    const holds = timer.isRefed && timer.real === null && this.#pending.has(timer);
    if (holds === timer.holds) return;
    timer.holds = holds;
    this.#holding += holds ? 1 : -1;
    if (this.#holding > 0) this.#anchor.ref();
    else this.#anchor.unref();
  }
}
