/** What a process uses, read from `/proc`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { readStat, TICKS_PER_SECOND } from '../../src/domains/process/tree.ts';

export interface Footprint {
  /** The most that was resident since `begin`. */
  readonly peakBytes: number;
  readonly cpuSeconds: number;
}

function cpuSeconds(pid: number): number {
  return (readStat(pid)?.ownTicks ?? NaN) / TICKS_PER_SECOND;
}

/** Begins to measure; the function that is given back says what was used since. */
export function measure(pid: number): () => Footprint {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  const before = cpuSeconds(pid);
  return () => {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return { peakBytes: Number(kilobytes) * 1024, cpuSeconds: cpuSeconds(pid) - before };
  };
}
