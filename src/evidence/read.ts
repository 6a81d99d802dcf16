/** An incident as it is shown: its line, and what is in its folder. Also when nothing runs. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { COMPARISON_FILE, type Comparison } from './compare/difference.ts';
import { CASE_FILE, type CaseFile } from './exhibits.ts';
import type { Incident } from './incidents.ts';

export interface CaseView {
  readonly incident: Incident;
  /** Null when the folder is not written yet, or was removed to make room. */
  readonly evidence: (Omit<CaseFile, 'incident'> & { readonly folder: string }) | null;
  /** Null when nothing differs, or nothing is compared yet. */
  readonly comparisons: readonly Comparison[] | null;
}

/** Null when there is no such incident (any more). */
export async function readCase(
  folder: string,
  latest: readonly Incident[],
  id: number,
): Promise<CaseView | null> {
  const found = (await readJson(join(folder, CASE_FILE))) as CaseFile | null;
  const incident = latest.find((known) => known.id === id) ?? found?.incident;
  if (incident === undefined) return null;
  if (found === null) return { incident, evidence: null, comparisons: null };
  const { entry, request, votes, decided, parts } = found;
  const comparisons = (await readJson(join(folder, COMPARISON_FILE))) as Comparison[] | null;
  return { incident, evidence: { folder, entry, request, votes, decided, parts }, comparisons };
}

/** The parsed JSON of a file, or null when it is not there (any more). */
async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
