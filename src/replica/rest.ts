/**
 * Waits until a service that listens has nothing left to do. Many listen first and go on with their start afterwards: they create
 * tables, load the rest of themselves, and answer "not yet" meanwhile. What no service says can be seen: none of its threads works,
 * or waits for a processor or a disk.
 *
 * Most have no more to do when they listen, and are believed at once; one that was seen at work must rest for longer, for it may
 * have waited for something for a moment.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';

const WINDOW_MS = 50;
/** Of a window: what a program at rest takes for its own upkeep, and not more. */
const UPKEEP_SHARE = 0.2;
/** Of one that was seen at work, one after the other. */
const WINDOWS_AT_REST = 5;
const NS_PER_MS = 1e6;

/** On a busy host the time may be over before what has happened meanwhile is heard of: it is, then. */
export async function wait(ms: number): Promise<void> {
  await delay(ms);
  await turn();
}

/** `pid`: the process that was started; its descendants count, too. `endMs`, of `performance.now()`: it is left as it is then. */
export async function untilAtRest(pid: number, endMs: number): Promise<void> {
  let before = workOf(pid);
  let beforeMs = performance.now();
  for (let left = 1; left > 0 && beforeMs < endMs;) {
    await wait(WINDOW_MS);
    const work = workOf(pid);
    const nowMs = performance.now();
    const allowedNs = UPKEEP_SHARE * (nowMs - beforeMs) * NS_PER_MS;
    // Threads that ended take what they did with them.
    const isAtRest = !work.isUnderWay && Math.abs(work.doneNs - before.doneNs) <= allowedNs;
    left = isAtRest ? left - 1 : WINDOWS_AT_REST;
    before = work;
    beforeMs = nowMs;
  }
}

interface Work {
  /** Time that threads ran, or waited for a processor. */
  readonly doneNs: number;
  /** Whether a thread runs just now, or waits for a processor or a disk. */
  readonly isUnderWay: boolean;
}

function workOf(pid: number): Work {
  let doneNs = 0;
  let isUnderWay = false;
  for (const pids = [pid]; pids.length > 0;) {
    const task = `/proc/${pids.pop()}/task`;
    for (const thread of threadsIn(task)) {
      const [ran, waited] = numbers(read(`${task}/${thread}/schedstat`));
      doneNs += (ran ?? 0) + (waited ?? 0);
      // After the name, which is in parentheses and may have some of its own.
      isUnderWay ||= /\) [RD] [^)]*$/.test(read(`${task}/${thread}/stat`));
      pids.push(...numbers(read(`${task}/${thread}/children`)));
    }
  }
  return { doneNs, isUnderWay };
}

function threadsIn(task: string): string[] {
  try {
    return readdirSync(task);
  } catch {
    return [];
  }
}

/** Nothing, when the thread has ended or the kernel does not tell. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function numbers(text: string): number[] {
  return text.split(/\s+/).filter(Boolean).map(Number);
}
