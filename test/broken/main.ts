/**
 * `npm run broken [-- --only TEXT] [--write]`: breaks each promise on purpose, as `catalogue.ts` says, and looks whether its test
 * fails, which it does not otherwise. `--only`: what the edited file or the test contains. `--write` keeps the table in `docs/BROKEN.md`.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BREAKS } from './catalogue.ts';
import { failures } from './plant.ts';
import { document, type Seen } from './table.ts';

const { values } = parseArgs({
  options: { only: { type: 'string', default: '' }, write: { type: 'boolean', default: false } },
});
const chosen = BREAKS.filter(({ file, test }) => `${file} ${test}`.includes(values.only));
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
