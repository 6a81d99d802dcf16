/** `npm run broken`: breaks each promise on purpose, as `catalogue.ts` says, and looks whether its test fails, which it does not otherwise. */
import { writeFileSync } from 'node:fs';
import { readOptions, refuse } from '../options.ts';
import { BREAKS } from './catalogue.ts';
import { failures } from './plant.ts';
import { document, type Seen } from './table.ts';

const USAGE = `Usage: npm run broken -- [options]

  --only TEXT  what the edited file or its test contains
  --write      keeps the table in docs/BROKEN.md
`;

const values = readOptions(USAGE, {
  only: { type: 'string', default: '' },
  write: { type: 'boolean', default: false },
});
const chosen = BREAKS.filter(({ file, test }) => `${file} ${test}`.includes(values.only));
if (chosen.length === 0) refuse(`There is nothing to break with ${JSON.stringify(values.only)}.`);
if (values.write && chosen.length < BREAKS.length)
  refuse('Only the whole table is written: leave out --only.');
const seen: Seen[] = [];
for (const broken of chosen) {
  const failed = await failures(broken, true);
  process.stdout.write(
    `${failed.length > 0 ? 'fails   ' : 'SURVIVED'}  ${broken.test}: ${broken.what}: ${failed[0] ?? ''}\n`,
  );
  if (failed.length > 0) seen.push({ broken, failed });
}
process.stdout.write(`${seen.length} of ${chosen.length} fail\n`);
if (values.write) writeFileSync(new URL('../../docs/BROKEN.md', import.meta.url), document(seen));
process.exit(seen.length === chosen.length ? 0 : 1);
