/** `spare incidents` and `spare incidents show ID`: what the data folder holds, in words. Also while Spare runs. */
import { join } from 'node:path';
import { SpareError } from '../errors.ts';
import type { Comparison, Difference } from '../evidence/compare/difference.ts';
import { EVIDENCE_FOLDER } from '../evidence/folders.ts';
import { type Incident, INCIDENTS_FILE, readIncidents } from '../evidence/incidents.ts';
import { type CaseView, readCase } from '../evidence/read.ts';
import { printable } from '../wire/channel.ts';
import { checkDataFolder } from './data-folder.ts';

const LABEL = 11;

/** What a service can bring upon sound copies, and where it says how. */
const MAY_BE_SOUND: ReadonlySet<Incident['kind']> = new Set(['reply', 'update', 'no-agreement']);
const ADVICE =
  'sound copies of a service can differ, too: see "When sound copies differ" in docs/OPERATIONS.md';

function line(label: string, text: string): string {
  return `${label.padEnd(LABEL)}${printable(text)}`;
}

function block(label: string, lines: readonly string[]): string[] {
  return lines.map((text, i) => line(i === 0 ? label : '', text));
}

function incidentsOf(data: string): Incident[] {
  checkDataFolder(data);
  return readIncidents(join(data, INCIDENTS_FILE));
}

function summary({ id, at, index, replica, kind, what }: Incident): string {
  const who = replica ?? (kind === 'image' ? 'refused' : 'skipped');
  return [id, at, `entry ${index}`, who, `${kind}: ${printable(what)}`].join('  ');
}

/** Throws `SpareError` data-folder-missing. */
export function listIncidents(data: string): string {
  const incidents = incidentsOf(data);
  return incidents.length === 0 ? 'No incidents.' : incidents.map(summary).join('\n');
}

/** Throws `SpareError` data-folder-missing, incident-unknown. */
export async function showIncident(data: string, id: number): Promise<string> {
  const found = await readCase(join(data, EVIDENCE_FOLDER, String(id)), incidentsOf(data), id);
  if (found !== null) return described(found).join('\n');
  throw new SpareError('incident-unknown', `There is no incident ${id} (any more) in ${data}.`, {
    hint: '`spare incidents` lists those there are.',
  });
}

function described({ incident, evidence, comparisons }: CaseView): string[] {
  const { id, at, index, replica, variant, kind, what, done, console } = incident;
  return [
    line('incident', `${id}, ${at}`),
    line('replica', replica === null ? 'none is to blame' : `${replica}, variant ${variant}`),
    line('entry', entryText(index, evidence)),
    ...requestLines(evidence),
    line('fault', kind),
    line('what', what),
    line('done', done),
    ...(MAY_BE_SOUND.has(kind) ? [line('if again', ADVICE)] : []),
    ...voteLines(evidence),
    ...differenceLines(evidence, comparisons),
    ...block('console', console === '' ? [] : console.split('\n')),
    line('files', evidence?.folder ?? 'not written yet, removed to make room, or lost with the power'),
  ];
}

function entryText(index: number, evidence: CaseView['evidence']): string {
  const entry = evidence?.entry;
  return entry === null || entry === undefined ? String(index) : `${index}, a ${entry.kind} of ${entry.time}`;
}

function requestLines(evidence: CaseView['evidence']): string[] {
  const request = evidence?.request;
  if (request === null || request === undefined) return [];
  const headers = request.headers.flatMap((name, i) =>
    i % 2 === 0 ? [`${name}: ${request.headers[i + 1] ?? ''}`] : [],
  );
  const body = request.bodyBytes === 0 ? 'no body' : `body of ${request.bodyBytes} bytes: request-body`;
  return block('request', [`${request.method} ${request.target}`, ...headers, body]);
}

function voteLines(evidence: CaseView['evidence']): string[] {
  if (evidence === null) return [];
  const short = (digest: string): string => (digest === '' ? 'nothing' : digest.slice(0, 12)).padEnd(12);
  const votes = evidence.votes.map(({ replica, afterMs, reply, update }) => {
    const when = afterMs === null ? '' : `, after ${afterMs} ms`;
    return `${replica}: reply ${short(reply)} update ${short(update)}${when}`;
  });
  const { decided } = evidence;
  if (decided !== null) votes.push(`decided: reply ${short(decided.reply)} update ${short(decided.update)}`);
  return block('votes', votes);
}

function differenceLines(evidence: CaseView['evidence'], comparisons: CaseView['comparisons']): string[] {
  const kinds = new Set((evidence?.parts ?? []).map(({ kind }) => kind));
  if (comparisons === null) return kinds.size === 0 ? [] : [line('differs', 'not compared (yet)')];
  const missing = [...kinds].filter((kind) => comparisons.every(({ of }) => of !== kind));
  return [
    ...comparisons.flatMap(comparisonLines),
    ...missing.map((kind) => line('differs', `${kind}: not compared, for not all of it was kept`)),
  ];
}

function comparisonLines({ of, replicas, against, differences, more, unnamed }: Comparison): string[] {
  const head = `${of} of ${replicas.join(', ')} against ${against}:`;
  const places = differences.map(
    ({ where, is, instead }: Difference) => `  ${where}: ${is} instead of ${instead}`,
  );
  const rest = more ? ['  and more'] : [];
  const without = unnamed
    ? [`  tables and rows are not named, for the state before it was not at hand: ${unnamed}`]
    : [];
  return block('differs', [head, ...places, ...rest, ...without]);
}
