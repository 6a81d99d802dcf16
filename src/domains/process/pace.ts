/** What comes from a domain costs the manager a bounded share of its time: beyond a budget it is read later. */
import type { Readable } from 'node:stream';

const PAUSE_MS = 50;

/** `stream` is being read: after so many bytes it waits for a moment, and whoever writes to it, too. */
export function pace(stream: Readable, budgetBytes: number): void {
  let budget = budgetBytes;
  stream.on('data', (chunk: Buffer | string) => {
    budget -= chunk.length;
    if (budget > 0) return;
    budget = budgetBytes;
    stream.pause();
    setTimeout(() => stream.resume(), PAUSE_MS).unref();
  });
}
