/**
 * A process of its own: says in words where the votes of an incident differ. What replicas sent is parsed here, and
 * not in the manager; the process may read and write the incident's folder and a scratch folder only, and its time and
 * memory are bounded (`tool.ts`).
 *
 * Called with the folder of the incident, into which it writes `comparison.json`, and the scratch folder if the state before
 * the entry is to be had there.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PRIVATE } from '../../data-folder.ts';
import { CASE_FILE, type CaseFile, type CasePart } from '../exhibits.ts';
import { type Comparison, COMPARISON_FILE, type Difference, LISTED_MAX } from './difference.ts';
import { replyDifferences } from './replies.ts';
import { updateDifferences } from './updates.ts';

function comparisons(folder: string, file: CaseFile, kind: CasePart['kind']): Comparison[] {
  const [reference, ...others] = file.parts.filter((part) => part.kind === kind && part.whole);
  if (reference === undefined) return [];
  const voters = (part: CasePart): string[] =>
    file.votes.filter((vote) => vote[kind] === part.digest).map(({ replica }) => replica);
  const isDecided = file.decided?.[kind] === reference.digest;
  const read = (part: CasePart): Buffer => readFileSync(join(folder, part.file));
  return others.map((part) => {
    const found = differences(kind, read(part), read(reference));
    return {
      of: kind,
      replicas: voters(part),
      against: isDecided ? 'the decided one' : voters(reference).join(', '),
      differences: found.slice(0, LISTED_MAX),
      more: found.length > LISTED_MAX,
    };
  });
}

function differences(kind: CasePart['kind'], is: Buffer, instead: Buffer): Difference[] {
  return kind === 'reply' ? replyDifferences(is, instead) : updateDifferences(is, instead, scratch);
}

const [, , folder = '.', scratch = null] = process.argv;
const file = JSON.parse(readFileSync(join(folder, CASE_FILE), 'utf8')) as CaseFile;
const found = [...comparisons(folder, file, 'reply'), ...comparisons(folder, file, 'update')];
const target = join(folder, COMPARISON_FILE);
writeFileSync(`${target}.new`, `${JSON.stringify(found, null, 2)}\n`, { mode: PRIVATE });
renameSync(`${target}.new`, target);
