/**
 * A process of its own: says in words where the votes of an incident differ. What replicas sent is parsed here, and
 * not in the manager; the process may read and write the incident's folder and a scratch folder only, and its time and
 * memory are bounded (`tool.ts`).
 *
 * Called with the folder of the incident, into which it writes what it finds, and the scratch folder in which the state before
 * the entry is, or nothing and why it is not at hand.
 *
 * M1. Of each vote that differs something is told, whatever another one costs: the first byte that differs is written for
 *     all of them before any is looked into, and what is found then as it comes. The process may be killed at any time.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PRIVATE } from '../../data-folder.ts';
import { CASE_FILE, type CaseFile, type CasePart } from '../exhibits.ts';
import { bytesDifference, type Comparison, FOUND_FILE, LISTED_MAX } from './difference.ts';
import { replyDifferences } from './replies.ts';
import { updateDifferences } from './updates.ts';

interface Pair {
  readonly kind: CasePart['kind'];
  readonly is: Buffer;
  readonly instead: Buffer;
  readonly head: Pick<Comparison, 'of' | 'replicas' | 'against' | 'unnamed'>;
}

function pairs(folder: string, file: CaseFile, kind: CasePart['kind']): Pair[] {
  const [reference, ...others] = file.parts.filter((part) => part.kind === kind && part.whole);
  if (reference === undefined) return [];
  const voters = (part: CasePart): string[] =>
    file.votes.filter((vote) => vote[kind] === part.digest).map(({ replica }) => replica);
  const isDecided = file.decided?.[kind] === reference.digest;
  const against = isDecided ? 'the decided one' : voters(reference).join(', ');
  const read = (part: CasePart): Buffer => readFileSync(join(folder, part.file));
  const instead = read(reference);
  return others.map((part) => ({
    kind,
    is: read(part),
    instead,
    head: { of: kind, replicas: voters(part), against, unnamed: kind === 'update' ? why : null },
  }));
}

/** Known at once; that there is more to say stays true when nothing more comes of it. */
function coarse({ kind, is, instead, head }: Pair): Comparison {
  return { ...head, differences: [bytesDifference(kind, is, instead)], more: true };
}

function compared({ kind, is, instead, head }: Pair): Comparison {
  const found =
    kind === 'reply'
      ? replyDifferences(is, instead)
      : updateDifferences(is, instead, scratch === '' ? null : scratch);
  return { ...head, differences: found.slice(0, LISTED_MAX), more: found.length > LISTED_MAX };
}

function write(comparisons: readonly Comparison[]): void {
  const target = join(folder, FOUND_FILE);
  writeFileSync(`${target}.new`, `${JSON.stringify(comparisons, null, 2)}\n`, { mode: PRIVATE });
  renameSync(`${target}.new`, target);
}

const [, , folder = '.', scratch = '', why = null] = process.argv;
const file = JSON.parse(readFileSync(join(folder, CASE_FILE), 'utf8')) as CaseFile;
const all = [...pairs(folder, file, 'reply'), ...pairs(folder, file, 'update')];
const found = all.map(coarse);
write(found);
for (const [at, pair] of all.entries()) {
  found[at] = compared(pair);
  write(found);
}
