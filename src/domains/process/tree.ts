/**
 * The processes of one domain, found through `/proc`: who they are, what they do, what they use.
 *
 * All reads are synchronous and follow `task/<tid>/children`, so that their cost grows with the domain and not
 * with the host. Nothing here starts a process, and none of it waits.
 *
 * T1. `before` is called for a process before its children are read. A process with a pending SIGSTOP cannot
 *     complete a fork any more, so a caller that stops processes there sees every child they have.
 * T2. An orphan is looked for where orphans go (`roots`), again after each pass, until nothing new turns up.
 */
import { readFileSync, readdirSync } from 'node:fs';

/** Of the system's clock for what processes use. */
export const TICKS_PER_SECOND = 100;

/**
 * One line of `/proc/<pid>/stat`. `state` is that of the first thread, which may have ended before others.
 * `reapedTicks` is the CPU time of children waited for.
 */
export interface ProcessStat {
  readonly pid: number;
  readonly state: string;
  readonly parent: number;
  readonly threads: number;
  readonly startTicks: number;
  readonly ownTicks: number;
  readonly reapedTicks: number;
}

/** Lists the processes of a domain; see T1 for `before`. Stops once more than `limit` were found. */
export interface ProcessTree {
  pids(limit: number, before?: (pid: number) => void): number[];
}

/** A file below `/proc`, or nothing when the process is gone or not ours. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

export function readStat(pid: number): ProcessStat | undefined {
  const text = read(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The second field is the program's name in parentheses and may itself contain spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const number = (index: number): number => Number(fields[index]);
  return {
    pid,
    state: fields[0] ?? 'X',
    parent: number(1),
    threads: number(17),
    startTicks: number(19),
    ownTicks: number(11) + number(12),
    reapedTicks: number(13) + number(14),
  };
}

/** A process that was seen; `startTicks` tells it from a later one of the same number. */
export type Seen = Pick<ProcessStat, 'pid' | 'startTicks'>;

export function isThere({ pid, startTicks }: Seen): boolean {
  return readStat(pid)?.startTicks === startTicks;
}

/**
 * Kinds of resident memory, by their names in `/proc/<pid>/status`: of no file, of files, shared or of files in memory, and what the
 * kernel keeps about where all that is.
 */
export type MemoryKind = 'RssAnon' | 'RssFile' | 'RssShmem' | 'VmPTE';

const OF_ITS_OWN: readonly MemoryKind[] = ['RssAnon', 'RssShmem', 'VmPTE'];

/**
 * In bytes. Pages of files are left out unless they are asked for: program text is shared between the domains, and the system takes
 * such pages back when it needs them, but not what it keeps about them.
 */
export function residentBytes(pid: number, kinds: readonly MemoryKind[] = OF_ITS_OWN): number {
  const text = statusWithMemory(pid);
  let kibibytes = 0;
  for (const [, kind, size] of text.matchAll(/^(Rss\w+|VmPTE):\s+(\d+) kB$/gm)) {
    if (kinds.some((one) => one === kind)) kibibytes += Number(size);
  }
  return kibibytes * 1024;
}

/** All threads have the same memory, but for those that have ended: these have none, also when it is the first one. */
function statusWithMemory(pid: number): string {
  const ofFirst = read(`/proc/${pid}/status`) ?? '';
  if (ofFirst.includes('\nRss')) return ofFirst;
  for (const thread of threadsOf(pid)) {
    const text = read(`/proc/${pid}/task/${thread}/status`);
    if (text?.includes('\nRss') === true) return text;
  }
  return '';
}

/** The command line, empty for a zombie and for a process that is gone. */
export function commandLine(pid: number): string[] {
  return read(`/proc/${pid}/cmdline`)?.split('\0').slice(0, -1) ?? [];
}

/** A child belongs to the thread that forked it, so every thread is asked. */
export function childrenOf(pid: number): number[] {
  const children: number[] = [];
  for (const thread of threadsOf(pid)) {
    const text = read(`/proc/${pid}/task/${thread}/children`);
    if (text === undefined || text === '') continue;
    for (const child of text.trim().split(' ')) children.push(Number(child));
  }
  return children;
}

function walk(roots: () => number[], limit: number, before?: (pid: number) => void): number[] {
  const seen = new Set<number>();
  for (;;) {
    const queue = roots().filter((pid) => !seen.has(pid));
    if (queue.length === 0) return [...seen];
    for (const pid of queue) {
      if (seen.has(pid)) continue;
      seen.add(pid);
      if (seen.size > limit) return [...seen];
      before?.(pid);
      queue.push(...childrenOf(pid));
    }
  }
}

/** The tree of a domain with a pid namespace of its own: `init` adopts every orphan. `init` itself is not part of it. */
export function namespaceTree(init: number): ProcessTree {
  return { pids: (limit, before) => walk(() => childrenOf(init), limit, before) };
}

/**
 * The tree of a domain without pid namespace. Orphans go to an ancestor of the manager and are recognised there
 * by `marker`, an environment entry (`NAME=value`) that only this domain has; a process seen once is remembered
 * as well. A process that hides from both before it is seen escapes: this level claims no isolation.
 */
export function markedTree(agent: number, marker: string): ProcessTree {
  const strangers = new Set<number>();
  let known = new Map<number, number>();
  const orphans = (): number[] => {
    const candidates = ancestors().flatMap((pid) => childrenOf(pid));
    const present = new Set(candidates);
    for (const pid of strangers) if (!present.has(pid)) strangers.delete(pid);
    return candidates.filter((pid) => {
      if (strangers.has(pid)) return false;
      const environment = read(`/proc/${pid}/environ`);
      // Empty while a program is being replaced by another one: to be asked again next time.
      if (environment === '') return false;
      const ours = environment?.split('\0').includes(marker) ?? false;
      if (!ours) strangers.add(pid);
      return ours;
    });
  };
  const remembered = (): number[] =>
    [...known.keys()].filter((pid) => known.get(pid) === readStat(pid)?.startTicks);
  const roots = (): number[] => [agent, ...remembered(), ...orphans()].filter(isAlive);
  return {
    pids: (limit, before) => {
      const pids = walk(roots, limit, before).filter(isAlive);
      known = new Map(pids.map((pid) => [pid, readStat(pid)?.startTicks ?? -1]));
      return pids;
    },
  };
}

/** Neither gone nor a zombie: one whose first thread alone has ended is alive. */
export function isAlive(pid: number): boolean {
  const { state = 'X', threads = 0 } = readStat(pid) ?? {};
  return (state !== 'Z' && state !== 'X') || threads > 1;
}

function ancestors(): number[] {
  const found: number[] = [];
  for (let pid = process.ppid; pid > 0; pid = readStat(pid)?.parent ?? 0) found.push(pid);
  return found;
}
