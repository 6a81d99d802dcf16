/**
 * Adds up what the processes of a domain used, over processes that come and go between two samples.
 *
 * The kernel adds the CPU time of a child to its parent when the parent waits for it, and forgets it otherwise.
 * So the time of a process that vanished is kept here, except for what its parents gained from waiting.
 *
 * A1. `cpuSeconds` never goes back.
 */
import type { DomainUsage } from '../domain.ts';
import { type ProcessStat, readStat, residentBytes } from './tree.ts';

const TICKS_PER_SECOND = 100;

export class Accounting {
  readonly #init: number | undefined;
  #last = new Map<string, ProcessStat>();
  #retiredTicks = 0;
  #usage: DomainUsage = { cpuSeconds: 0, residentBytes: 0, processes: 0 };

  /** `init` is a process that reaps orphans for the domain but is not part of it; only its reaped time counts. */
  constructor(init: number | undefined) {
    this.#init = init;
  }

  /** The last sample, for a domain that is gone. */
  get usage(): DomainUsage {
    return this.#usage;
  }

  sample(pids: readonly number[]): DomainUsage {
    const now = new Map<string, ProcessStat>();
    let ticks = 0;
    let reapedGrowth = 0;
    const count = (stat: ProcessStat): void => {
      const key = `${stat.pid}/${stat.startTicks}`;
      now.set(key, stat);
      ticks += stat.ownTicks + stat.reapedTicks;
      reapedGrowth += stat.reapedTicks - (this.#last.get(key)?.reapedTicks ?? 0);
    };
    const init = this.#init === undefined ? undefined : readStat(this.#init);
    if (init !== undefined) count({ ...init, ownTicks: 0 });
    let bytes = 0;
    let processes = 0;
    for (const pid of pids) {
      const stat = readStat(pid);
      if (stat === undefined) continue;
      count(stat);
      processes += 1;
      bytes += residentBytes(pid);
    }
    let vanished = 0;
    for (const [key, stat] of this.#last) if (!now.has(key)) vanished += stat.ownTicks + stat.reapedTicks;
    this.#retiredTicks += Math.max(0, vanished - reapedGrowth);
    this.#last = now;
    const cpuSeconds = (ticks + this.#retiredTicks) / TICKS_PER_SECOND;
    // Readings of one process may go back by a tick: the kernel splits and rounds them anew each time.
    this.#usage = {
      cpuSeconds: Math.max(cpuSeconds, this.#usage.cpuSeconds),
      residentBytes: bytes,
      processes,
    };
    return this.#usage;
  }
}
