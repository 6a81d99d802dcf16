/**
 * An incident as it is shown: its line, and what is in its folder. Also when nothing runs.
 *
 * W1. Whoever is shown it cannot act as a client for it: values of headers that prove who somebody is stay in the folder, and so does
 *     the seed, from which the service has drawn what it gave away in the same request.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { COMPARISON_FILE, type Comparison, type Difference, NOTHING } from './compare/difference.ts';
import { CASE_FILE, type CaseFile } from './exhibits.ts';
import type { Incident } from './incidents.ts';

const SECRET = ['authorization', 'cookie', 'idempotency-key', 'proxy-authorization', 'set-cookie'];
const UNSHOWN = '(not shown)';

/** Of the entry and the request in `evidence`, and of `comparisons`, secrets are `(not shown)`. */
export interface CaseView {
  readonly incident: Incident;
  /** Null when the folder is not written yet, was removed to make room, or lost with the power. */
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
  const { votes, decided, parts } = found;
  const entry = found.entry && {
    ...found.entry,
    seed: UNSHOWN,
    idempotencyKey: found.entry.idempotencyKey && UNSHOWN,
  };
  const request = found.request && { ...found.request, headers: shownHeaders(found.request.headers) };
  const comparisons = (await readJson(join(folder, COMPARISON_FILE))) as Comparison[] | null;
  return {
    incident,
    evidence: { folder, entry, request, votes, decided, parts },
    comparisons: comparisons?.map(shownComparison) ?? null,
  };
}

function shownHeaders(headers: readonly string[]): string[] {
  return headers.map((text, i) =>
    i % 2 === 1 && SECRET.includes(headers[i - 1]?.toLowerCase() ?? '') ? UNSHOWN : text,
  );
}

function shownComparison({ differences, ...comparison }: Comparison): Comparison {
  return { ...comparison, differences: differences.map(shownDifference) };
}

/** That there is such a header, or none, is no secret. Bytes of a reply, of which no more was found than these, may be in one. */
function shownDifference({ where, is, instead }: Difference): Difference {
  const isSecret = SECRET.some((name) => where === `header ${name}`) || where.startsWith('reply byte ');
  if (!isSecret) return { where, is, instead };
  const shown = (value: string): string => (value === NOTHING ? NOTHING : UNSHOWN);
  return { where, is: shown(is), instead: shown(instead) };
}

/** The parsed JSON of a file, or null when it is not there (any more), or not whole: after a loss of power it may be empty. */
async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
