/**
 * Incidents: what a replica did wrong, or which request nobody could agree on, when, what differed, what was done.
 * Appended to a file of the data folder, one JSON object a line; the latest are kept in memory. What proves one is in a
 * folder of its own (`folders.ts`).
 *
 * I1. Memory and disk are bounded: when the file grows too large, what is kept is the newest that takes half of that.
 * I2. A number is given once. So the file is whole at any time, but for the end of its last line; and where its last lines are lost,
 *     as after a loss of power, no number is given that has a folder.
 */
import { appendFileSync, existsSync, readFileSync, statSync } from 'node:fs';
import type { FaultKind, SkipReason } from '../core/index.ts';
import { PRIVATE } from '../data-folder.ts';
import { replaceText } from '../durable.ts';

export interface Incident {
  /** Counts up from 1. */
  readonly id: number;
  readonly index: number;
  /** Null when nobody is to blame: an entry was skipped, or what replicas start from was changed on disk (`image`). */
  readonly replica: string | null;
  readonly variant: number | null;
  readonly kind: FaultKind | SkipReason | 'image';
  /** ISO 8601. */
  readonly at: string;
  /** For a person: how its vote, or its behaviour, differed. */
  readonly what: string;
  readonly done: string;
  /** The last lines that its processes printed. */
  readonly console: string;
}

export const INCIDENTS_FILE = 'incidents.jsonl';
const KEPT = 1000;
const FILE_BYTES_MAX = 8 * 1024 * 1024;

export class Incidents {
  readonly #file: string;
  #latest: Incident[];
  #lastId: number;

  /** `given`: the highest number of which anything else is kept. */
  constructor(file: string, given: number = 0) {
    this.#file = file;
    this.#latest = readIncidents(file);
    this.#lastId = Math.max(given, this.#latest.at(-1)?.id ?? 0);
    // Of a file that was being written when all ended: what is added begins a line of its own.
    if (existsSync(file) && !readFileSync(file, 'utf8').endsWith('\n')) appendFileSync(file, '\n');
  }

  add(found: Omit<Incident, 'id'>): Incident {
    const incident = { id: ++this.#lastId, ...found };
    this.#latest.push(incident);
    if (this.#latest.length > KEPT) this.#latest = this.#latest.slice(-KEPT / 2);
    appendFileSync(this.#file, lineOf(incident), { mode: PRIVATE });
    if (statSync(this.#file).size > FILE_BYTES_MAX) this.#cut();
    return incident;
  }

  /** Whoever reads it meanwhile, or after an end in the midst of it, finds a whole one. */
  #cut(): void {
    const lines = this.#latest.map(lineOf);
    let bytes = 0;
    const older = lines.findLastIndex((line) => (bytes += Buffer.byteLength(line)) > FILE_BYTES_MAX / 2);
    this.#latest = this.#latest.slice(older + 1);
    // Durably: were it empty after a loss of power, numbers would begin at 1 again, and be those of folders that are there.
    replaceText(this.#file, lines.slice(older + 1).join(''));
  }

  /** So far, with those that are not kept any more. */
  get count(): number {
    return this.#lastId;
  }

  /** Oldest first. */
  latest(): readonly Incident[] {
    return this.#latest;
  }
}

function lineOf(incident: Incident): string {
  return `${JSON.stringify(incident)}\n`;
}

/** The latest incidents that a file holds, oldest first; none when there is no file. */
export function readIncidents(file: string): Incident[] {
  const incidents: Incident[] = [];
  if (!existsSync(file)) return incidents;
  for (const line of readFileSync(file, 'utf8').split('\n').slice(-KEPT)) {
    try {
      if (line !== '') incidents.push(JSON.parse(line) as Incident);
    } catch {
      // A line that was being written when all ended.
    }
  }
  return incidents;
}
