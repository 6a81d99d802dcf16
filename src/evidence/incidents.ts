/**
 * Incidents: what a replica did wrong, when, what differed, what was done. Appended to a file of the data folder,
 * one JSON object a line; the latest are kept in memory.
 *
 * I1. Memory and disk are bounded: the file is cut to its newer half when it grows too large.
 */
import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { FaultKind } from '../core/index.ts';

export interface Incident {
  readonly index: number;
  readonly replica: string;
  readonly variant: number;
  readonly kind: FaultKind;
  /** ISO 8601. */
  readonly at: string;
  /** For a person: how its vote, or its behaviour, differed. */
  readonly what: string;
  readonly done: string;
  /** The last lines that its processes printed. */
  readonly console: string;
}

const KEPT = 1000;
const FILE_BYTES_MAX = 8 * 1024 * 1024;

export class Incidents {
  readonly #file: string;
  #latest: Incident[];

  constructor(file: string) {
    this.#file = file;
    this.#latest = existsSync(file) ? parse(readFileSync(file, 'utf8')) : [];
  }

  add(incident: Incident): void {
    this.#latest.push(incident);
    if (this.#latest.length > KEPT) this.#latest = this.#latest.slice(-KEPT / 2);
    appendFileSync(this.#file, `${JSON.stringify(incident)}\n`);
    if (statSync(this.#file).size > FILE_BYTES_MAX) {
      writeFileSync(this.#file, this.#latest.map((kept) => `${JSON.stringify(kept)}\n`).join(''));
    }
  }

  /** Oldest first. */
  latest(): readonly Incident[] {
    return this.#latest;
  }
}

function parse(text: string): Incident[] {
  const incidents: Incident[] = [];
  for (const line of text.split('\n').slice(-KEPT)) {
    try {
      if (line !== '') incidents.push(JSON.parse(line) as Incident);
    } catch {
      // The last line of a file that was being written when all ended.
    }
  }
  return incidents;
}
