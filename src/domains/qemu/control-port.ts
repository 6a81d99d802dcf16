/**
 * The manager's end of the port through which the guest's first process says how far it is, and why it switches itself off.
 *
 * C1. What it says is at most a few short lines, read at a bounded pace, and only told on to people.
 */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';

import type { DomainLimits } from '../domain.ts';
import { signalName } from '../process/launch.ts';
import { pace } from '../process/pace.ts';

const MIB = 1024 ** 2;
const SEED_BYTES = 32;
const LINE_BYTES_MAX = 4096;
/** Read at once. */
const BUDGET_BYTES = 64 * 1024;
const LAST_WORD_MS_MAX = 1000;
/** How a guest says that it switches itself off. */
const ENDING = /^(status|signal|limit) (\w+)$/;

export class ControlPort {
  readonly #stream: Duplex;
  readonly #listeners = new Set<(line: string) => void>();
  #rest = '';
  #lastWord = '';

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.setEncoding('latin1');
    pace(stream, BUDGET_BYTES);
    stream.on('data', (text: string) => this.#take(text));
  }

  #take(text: string): void {
    const lines = (this.#rest + text).slice(0, LINE_BYTES_MAX).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (ENDING.test(line)) this.#lastWord = line;
      for (const listener of this.#listeners) listener(line);
    }
  }

  /** Tells the guest the time, and randomness that nobody else has. */
  wake(): void {
    this.#stream.write(`wake ${Date.now()} ${randomBytes(SEED_BYTES).toString('hex')}\n`);
  }

  /** Resolves when the guest says this, from now on. */
  heard(line: string): Promise<void> {
    return new Promise((resolve) => {
      const listener = (said: string): void => {
        if (said !== line) return;
        this.#listeners.delete(listener);
        resolve();
      };
      this.#listeners.add(listener);
    });
  }

  /** Its last word may still be on its way; or there is no end of what comes, because somebody else was given the port. */
  async closed(): Promise<void> {
    const stream = this.#stream;
    if (stream.readableEnded || stream.destroyed) return;
    const closed = new Promise((resolve) => stream.once('close', resolve));
    setTimeout(() => stream.destroy(), LAST_WORD_MS_MAX).unref();
    await closed;
  }

  /** Why the guest switched itself off, for a person; undefined where it did not say. */
  ending({ processes, memoryBytes }: DomainLimits): string | undefined {
    const [, kind, detail] = ENDING.exec(this.#lastWord) ?? [];
    if (kind === undefined) return undefined;
    const number = Number(detail);
    if (kind === 'status') return `exit status ${number}`;
    if (kind === 'signal') return `killed by ${signalName(number) ?? number}`;
    if (detail === 'processes') return `process limit (${processes}) exceeded`;
    return `memory limit (${Math.round(memoryBytes / MIB)} MiB) exceeded`;
  }
}
