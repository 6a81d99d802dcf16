/**
 * The core's clock, by which it finds replicas late. While the manager itself stood still, or waited for a processor, what
 * replicas had answered lay unread: that is no time in which they kept anybody waiting.
 */

/** The most that passes between two looks; the manager looks far more often. */
const GAP_MS_MAX = 100;

export class Clock {
  #lookedAt = 0;
  #lostMs = 0;

  /** To be looked at again and again. `realMs`: of a clock that never goes back. */
  now(realMs: number): number {
    this.#lostMs += Math.max(0, realMs - this.#lookedAt - GAP_MS_MAX);
    this.#lookedAt = realMs;
    return realMs - this.#lostMs;
  }
}
