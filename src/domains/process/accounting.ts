/**
 * Adds up what the processes of a domain used, over processes that come and go between two samples.
 *
 * The kernel adds the CPU time of a child to its parent when the parent waits for it, and forgets it otherwise.
 * So the time of a process that vanished is kept here, except for what its parents gained from waiting.
 *
 * A1. `cpuSeconds` never goes back.
 * A2. A child has all memory of its parent until it runs a program of its own, and takes none of it. `borrowedBytes` is what may be
 *     counted twice for that: by one child, the largest of those that were not there at the last sample, or have not worked for a tick:
 *     on a busy host a child may wait for a processor from one sample to the next.
 */
import type { DomainUsage } from '../domain.ts';
import { type ProcessStat, readStat, residentBytes, TICKS_PER_SECOND } from './tree.ts';

export class Accounting {
  readonly #init: number | undefined;
  #last = new Map<string, ProcessStat>();
  #retiredTicks = 0;
  #usage: DomainUsage = { cpuSeconds: 0, residentBytes: 0, processes: 0 };
  #borrowedBytes = 0;

  /**
   * `init` is the process that reaps orphans for the domain. It is none of the domain's processes, but what it uses counts: it belongs
   * to the same user, so a domain can make it run what it likes.
   */
  constructor(init: number | undefined) {
    this.#init = init;
  }

  /** The last sample, for a domain that is gone. */
  get usage(): DomainUsage {
    return this.#usage;
  }

  /** Of the resident bytes of the last sample; see A2. */
  get borrowedBytes(): number {
    return this.#borrowedBytes;
  }

  sample(pids: readonly number[]): DomainUsage {
    const now = new Map<string, ProcessStat>();
    let ticks = 0;
    let reapedGrowth = 0;
    /** Whether it is new. */
    const count = (stat: ProcessStat): boolean => {
      const key = `${stat.pid}/${stat.startTicks}`;
      const last = this.#last.get(key);
      now.set(key, stat);
      ticks += stat.ownTicks + stat.reapedTicks;
      reapedGrowth += stat.reapedTicks - (last?.reapedTicks ?? 0);
      return last === undefined;
    };
    const init = this.#init === undefined ? undefined : readStat(this.#init);
    if (init !== undefined) count(init);
    const resident = new Map<number, number>();
    let residentSum = init === undefined ? 0 : residentBytes(init.pid);
    let borrowed = 0;
    for (const pid of pids) {
      const stat = readStat(pid);
      if (stat === undefined) continue;
      const isNew = count(stat);
      const bytes = residentBytes(pid);
      resident.set(pid, bytes);
      residentSum += bytes;
      if (isNew || stat.ownTicks === 0)
        borrowed = Math.max(borrowed, Math.min(bytes, resident.get(stat.parent) ?? 0));
    }
    this.#borrowedBytes = borrowed;
    let vanished = 0;
    for (const [key, stat] of this.#last) if (!now.has(key)) vanished += stat.ownTicks + stat.reapedTicks;
    this.#retiredTicks += Math.max(0, vanished - reapedGrowth);
    this.#last = now;
    const cpuSeconds = (ticks + this.#retiredTicks) / TICKS_PER_SECOND;
    // Readings of one process may go back by a tick: the kernel splits and rounds them anew each time.
    this.#usage = {
      cpuSeconds: Math.max(cpuSeconds, this.#usage.cpuSeconds),
      residentBytes: residentSum,
      processes: resident.size,
    };
    return this.#usage;
  }
}
