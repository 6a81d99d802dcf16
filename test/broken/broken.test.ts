/** Do all edits still fit the product, does every promise have some, and is the one that is tried here seen? */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BREAKS } from './catalogue.ts';
import { editedFile, failures } from './plant.ts';

test('every edit fits the product, and each promise has some', () => {
  for (const broken of BREAKS) assert.ok(editedFile(broken).length > 0);
  assert.equal(new Set(BREAKS.map(({ promise }) => promise)).size, 7);
});

test('the table has all of them', () => {
  const document = readFileSync(new URL('../../docs/BROKEN.md', import.meta.url), 'utf8');
  for (const { test: name, what } of BREAKS)
    assert.ok(document.includes(`\`${name}\``) && document.includes(what), what);
});

test('P1: an edit that breaks a promise makes its test fail', async () => {
  const [broken] = BREAKS;
  assert.ok(broken !== undefined);
  assert.deepEqual(await failures(broken, false), []);
  assert.notDeepEqual(await failures(broken, true), []);
});
