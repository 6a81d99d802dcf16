/** Does `docs/ATTACKS.md` list the attacks that are tried, in their order, and no other? */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ATTACKS } from './enemy/attacks.ts';

const BY = {
  active: 'active',
  refreshed: 'passive, awake to be refreshed',
  exporting: 'passive, awake to export its state',
};

test('each attack stands in the document as it is tried, once', () => {
  const document = readFileSync(new URL('../docs/ATTACKS.md', import.meta.url), 'utf8');
  const rows = [...document.matchAll(/^\| (?!attack|---)(.+?)(?: \| [\d.]+){3} \|$/gm)].map(([, row]) => row);
  assert.deepEqual(
    rows,
    ATTACKS.map(({ name, by, kind, stopped }) => [name, BY[by], `\`${kind}\``, stopped].join(' | ')),
  );
  assert.equal(new Set(ATTACKS.map(({ name }) => name)).size, ATTACKS.length);
});
