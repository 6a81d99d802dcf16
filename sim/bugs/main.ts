/**
 * `npm run sim:bugs`: plants each bug of the catalogue and says which checker caught it, after how many seeds. Fails when one
 * survives, or no longer fits the core.
 */
import { writeFileSync } from 'node:fs';
import { stdout } from 'node:process';
import { readOptions, refuse, wholeNumber } from '../../test/options.ts';
import type { Bug } from './bug.ts';
import { BUGS } from './catalogue.ts';
import { hunt, type Outcome } from './hunt.ts';
import { editedFiles } from './plant.ts';
import { document, line } from './table.ts';

const DOCUMENT = new URL('../../docs/PLANTED-BUGS.md', import.meta.url);

const USAGE = `Usage: npm run sim:bugs -- [options]

  --only NAME  this bug; may be repeated
  --seeds N    so many are tried for each (default 2000)
  --jobs J     bugs at a time (default 2)
  --write      keeps the table in docs/PLANTED-BUGS.md
`;

const values = readOptions(USAGE, {
  only: { type: 'string', multiple: true, default: [] },
  seeds: { type: 'string', default: '2000' },
  jobs: { type: 'string', default: '2' },
  write: { type: 'boolean', default: false },
});
const seeds = wholeNumber('seeds', values.seeds, 1);
const jobs = wholeNumber('jobs', values.jobs, 1);

function chosen(): readonly Bug[] {
  for (const name of values.only)
    if (!BUGS.some((bug) => bug.name === name)) refuse(`There is no planted bug ${name}.`);
  return values.only.length === 0 ? BUGS : BUGS.filter(({ name }) => values.only.includes(name));
}

async function huntAll(bugs: readonly Bug[]): Promise<Outcome[]> {
  const outcomes = new Map<Bug, Outcome>();
  const waiting = [...bugs];
  const job = async (): Promise<void> => {
    for (let bug = waiting.shift(); bug !== undefined; bug = waiting.shift()) {
      const outcome = await hunt(bug, seeds);
      stdout.write(`${line(outcome)}\n`);
      outcomes.set(bug, outcome);
    }
  };
  await Promise.all(Array.from({ length: jobs }, job));
  return bugs.flatMap((bug) => outcomes.get(bug) ?? []);
}

const bugs = chosen();
if (values.write && bugs.length < BUGS.length) refuse('Only the whole table is written: leave out --only.');
for (const bug of bugs) {
  try {
    editedFiles(bug);
  } catch (error) {
    refuse(error instanceof Error ? error.message : String(error));
  }
}
const begun = performance.now();
const outcomes = await huntAll(bugs);
const survivors = outcomes.filter(({ first }) => first === null);
const seconds = ((performance.now() - begun) / 1000).toFixed(0);
stdout.write(`${outcomes.length - survivors.length} of ${outcomes.length} bugs caught in ${seconds} s\n`);
if (values.write) writeFileSync(DOCUMENT, document(outcomes));
if (survivors.length > 0) refuse(`survived: ${survivors.map(({ bug }) => bug.name).join(', ')}`);
