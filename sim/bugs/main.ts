/**
 * `npm run sim:bugs [-- --only NAME] [--seeds N] [--jobs J] [--write]`: plants each bug of the catalogue and says which
 * checker caught it, after how many seeds. Fails when one survives, or no longer fits the core. `--write` keeps the
 * table in `docs/PLANTED-BUGS.md`.
 */
import { writeFileSync } from 'node:fs';
import { argv, exit, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import type { Bug } from './bug.ts';
import { BUGS } from './catalogue.ts';
import { hunt, type Outcome } from './hunt.ts';
import { editedFiles } from './plant.ts';
import { document, line } from './table.ts';

const DOCUMENT = new URL('../../docs/PLANTED-BUGS.md', import.meta.url);

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    only: { type: 'string', multiple: true, default: [] },
    seeds: { type: 'string', default: '2000' },
    jobs: { type: 'string', default: '2' },
    write: { type: 'boolean', default: false },
  },
});

function fail(text: string): never {
  stderr.write(`${text}\n`);
  exit(2);
}

function chosen(): readonly Bug[] {
  for (const name of values.only)
    if (!BUGS.some((bug) => bug.name === name)) fail(`There is no planted bug ${name}.`);
  return values.only.length === 0 ? BUGS : BUGS.filter(({ name }) => values.only.includes(name));
}

async function huntAll(bugs: readonly Bug[]): Promise<Outcome[]> {
  const outcomes = new Map<Bug, Outcome>();
  const waiting = [...bugs];
  const job = async (): Promise<void> => {
    for (let bug = waiting.shift(); bug !== undefined; bug = waiting.shift()) {
      const outcome = await hunt(bug, Number(values.seeds));
      stdout.write(`${line(outcome)}\n`);
      outcomes.set(bug, outcome);
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, job));
  return bugs.flatMap((bug) => outcomes.get(bug) ?? []);
}

const bugs = chosen();
if (values.write && bugs.length < BUGS.length) fail('Only the whole table is written: leave out --only.');
for (const bug of bugs) {
  try {
    editedFiles(bug);
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
}
const begun = performance.now();
const outcomes = await huntAll(bugs);
const survivors = outcomes.filter(({ first }) => first === null);
const seconds = ((performance.now() - begun) / 1000).toFixed(0);
stdout.write(`${outcomes.length - survivors.length} of ${outcomes.length} bugs caught in ${seconds} s\n`);
if (values.write) writeFileSync(DOCUMENT, document(outcomes));
if (survivors.length > 0) fail(`survived: ${survivors.map(({ bug }) => bug.name).join(', ')}`);
