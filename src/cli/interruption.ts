/** Signals that ask to end: Ctrl-C, SIGTERM, SIGHUP. */

/** What was waited for was not, because a signal came. */
export class Interrupted {
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    this.signal = signal;
  }
}

/** How long a signal may come again without being meant so: `npm` passes on what a terminal has sent to all. */
const ECHO_MS = 500;

export interface Interruption {
  /** Aborted by the first signal that asks to end; an `Interrupted` is its reason. */
  readonly first: AbortSignal;
  /** Aborted by the second: whoever sends it does not want to wait. */
  readonly second: AbortSignal;
}

export function interruption(): Interruption {
  const [first, second] = [new AbortController(), new AbortController()];
  let since = Infinity;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (performance.now() - since > ECHO_MS) second.abort();
      since = Math.min(since, performance.now());
      first.abort(new Interrupted(signal));
    });
  return { first: first.signal, second: second.signal };
}

/** `work`, unless the signal comes first: then throws its reason. */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const aborted = new Promise<never>((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return Promise.race([work, aborted]);
}

/** Ends as a signal ends a program, so that whoever called it does not go on as if its work were done. */
export function endBy(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
