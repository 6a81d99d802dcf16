/**
 * Do the documents say what the code does? The tables of transitions, the invariants of the core with their tests, and the track
 * record. `node --test --test-update-snapshots sim/protocol.test.ts` writes the track record anew.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import known from './seeds.json' with { type: 'json' };
import { AGREEMENT, markdown, REPLICA } from './transitions.ts';

const ROOT = new URL('../', import.meta.url);
const DOCUMENT = readFileSync(new URL('docs/PROTOCOL.md', ROOT), 'utf8');

function between(name: string): string {
  return DOCUMENT.split(`<!-- ${name} -->\n`)[1]?.split(`<!-- /${name} -->`)[0]?.trim() ?? '';
}

for (const [name, table] of Object.entries({ agreement: AGREEMENT, replica: REPLICA })) {
  test(`X1: the table of ${name} in the document is that of the simulator`, () => {
    assert.equal(between(name), markdown(table));
  });
}

/** Ids in the headers of the core's files, each with its file. */
function stated(): string[] {
  const ids = new Map<string, string>();
  const core = new URL('src/core/', ROOT);
  for (const file of readdirSync(core).filter((name) => /(?<!\.test)\.ts$/u.test(name))) {
    for (const [, id] of readFileSync(new URL(file, core), 'utf8').matchAll(/^ \* ([A-Z]\d)\. /gmu)) {
      assert.ok(id !== undefined && !ids.has(id), `${id} is stated twice: ${file}, ${ids.get(id ?? '')}`);
      ids.set(id, file);
    }
  }
  return [...ids].map(([id, file]) => `${id} ${file}`);
}

test('each invariant of the core stands in the document, once, with tests that exist', () => {
  const rows = [...DOCUMENT.matchAll(/^\| ([A-Z]\d) +\| `([^`]+)` +\|.*\| ([^|]+) \|$/gmu)];
  assert.deepEqual(rows.map(([, id, file]) => `${id} ${file}`).sort(), stated().sort());
  for (const [, id, , tests = ''] of rows) {
    const files = [...tests.matchAll(/`([^`]+)`/gu)].map(([, file = '']) => file);
    assert.ok(files.length > 0, `${id} has a test`);
    for (const file of files) {
      const path = file.startsWith('sim/') ? file : `src/core/${file}`;
      assert.ok(existsSync(new URL(path, ROOT)), `${id}: ${path}`);
    }
  }
});

test('the track record is that of the seeds', (t) => {
  const rows = known.map(({ scenario, seed, what, fixed }) => `| ${scenario} ${seed} | ${what} | ${fixed} |`);
  const text = [
    '# Track record',
    '',
    'Bugs of the core that the simulator found, each by a seed that is run by `sim/seeds.test.ts` ever since. Made from',
    '`sim/seeds.json` by `sim/protocol.test.ts`. A seed means the same run only as long as the simulator draws the same numbers:',
    'what it shows today is that this run keeps all promises.',
    '',
    '| found by | what | fixed in |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n');
  t.assert.fileSnapshot(text, new URL('docs/TRACK-RECORD.md', ROOT).pathname, { serializers: [String] });
});
