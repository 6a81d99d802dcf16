/**
 * Keeps the last output of a domain. Whatever a domain prints, it costs the manager a fixed amount of memory and
 * a bounded share of its time: output beyond a budget is read later, and the domain waits meanwhile.
 */
import type { Readable } from 'node:stream';

import { pace } from './pace.ts';

/** Bytes kept, over stdout and stderr together. */
export const CONSOLE_BYTES: number = 64 * 1024;

const BUDGET_BYTES = 1024 * 1024;

export class Console {
  readonly #ring: Buffer = Buffer.alloc(CONSOLE_BYTES);
  #written = 0;

  /** Reads `stream` to its end; errors of the stream end it silently. */
  attach(stream: Readable): void {
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => this.#append(chunk));
    pace(stream, BUDGET_BYTES);
  }

  #append(chunk: Buffer): void {
    const kept = chunk.subarray(-CONSOLE_BYTES);
    const at = (this.#written + chunk.length - kept.length) % CONSOLE_BYTES;
    const first = kept.copy(this.#ring, at);
    kept.copy(this.#ring, 0, first);
    this.#written += chunk.length;
  }

  text(): string {
    const at = this.#written % CONSOLE_BYTES;
    if (this.#written <= CONSOLE_BYTES) return this.#ring.toString('utf8', 0, this.#written);
    return Buffer.concat([this.#ring.subarray(at), this.#ring.subarray(0, at)]).toString('utf8');
  }
}
