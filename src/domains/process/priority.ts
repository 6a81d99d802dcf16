/**
 * Lets a domain that starts go behind those that serve: starting Node twice takes most of a second of CPU, which on a
 * small host would show in every reply.
 *
 * Linux shares the CPU between sessions first (autogroup), and a domain is a session of its own, so that the niceness
 * of its processes would count for nothing against others: that of the session is set. Where sessions are not
 * grouped, this has no effect; the scheduler then treats its threads like all others, which wait for little.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** A seventieth of the weight of another session: what those that serve leave, and little more. */
const START_NICE = 19;
/** On a host that has nothing to spare, repair must not wait for ever: then it goes along with all others. */
export const BEHIND_MS_MAX = 15_000;
/** Who is not root may set only ten sessions a second. */
const RETRY_MS = 110;
const TRIES = 20;

function setSessionNice(pid: number, nice: number): 'done' | 'busy' {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(nice));
    return 'done';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? 'busy' : 'done';
  }
}

/** `pid`: any process of the domain's session. */
export function goBehind(pid: number): void {
  setSessionNice(pid, START_NICE);
}

export async function goAlong(pid: number): Promise<void> {
  for (let i = 0; i < TRIES && setSessionNice(pid, 0) === 'busy'; i++) {
    await delay(RETRY_MS, undefined, { ref: false });
  }
}
