/**
 * Looks at a domain again and again, whichever driver it is of; to look ends one that is above its limits. A suspended domain, of
 * which nobody hears, is looked at more seldom, and ended when it works nevertheless.
 */
import type { DomainUsage } from '../domain.ts';

const WATCH_MS = 250;
/** While it is suspended: to look costs the manager CPU. */
const SUSPENDED_WATCH_MS = 1000;
/** Of a suspended domain, from the first look on: what was in a call to the system when it was stopped finishes that. */
const SUSPENDED_CPU_SECONDS = 0.1;

export class Watchdog {
  readonly #look: () => DomainUsage;
  readonly #end: (reason: string) => void;
  readonly #timer: NodeJS.Timeout;
  #suspended = false;
  /** When it looks again; at a domain that is awake it always does. */
  #lookMs = 0;
  /** What a suspended domain had used at the first look. */
  #restingSeconds: number | undefined;

  constructor(look: () => DomainUsage, end: (reason: string) => void) {
    this.#look = look;
    this.#end = end;
    this.#timer = setInterval(() => this.#watch(), WATCH_MS).unref();
  }

  /** To be called once it has had time to stop. */
  suspended(): void {
    this.#suspended = true;
    this.#lookMs = performance.now() + SUSPENDED_WATCH_MS;
  }

  resumed(): void {
    this.#suspended = false;
    this.#lookMs = 0;
    this.#restingSeconds = undefined;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #watch(): void {
    const now = performance.now();
    if (now < this.#lookMs) return;
    const { cpuSeconds } = this.#look();
    if (!this.#suspended) return;
    this.#lookMs = now + SUSPENDED_WATCH_MS;
    this.#restingSeconds ??= cpuSeconds;
    const used = cpuSeconds - this.#restingSeconds;
    if (used > SUSPENDED_CPU_SECONDS) this.#end('it went on while it was suspended');
  }
}
