/**
 * Do the checkers still catch bugs, and do all planted bugs still fit the core? The whole hunt takes minutes
 * (`npm run sim:bugs`); here only a few that are caught at once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUGS } from './catalogue.ts';
import { hunt } from './hunt.ts';
import { editedFiles } from './plant.ts';

const QUICK: Readonly<Record<string, string>> = {
  'f-votes-enough': 'P1',
  'answer-before-durable': 'P2',
  'executed-becomes-passive': 'P4',
};

test('every planted bug fits the core, under a name of its own', () => {
  for (const bug of BUGS) assert.ok(editedFiles(bug).size > 0);
  assert.equal(new Set(BUGS.map(({ name }) => name)).size, BUGS.length);
});

for (const [name, promise] of Object.entries(QUICK)) {
  test(`${promise}: planted bug ${name} is caught`, async () => {
    const bug = BUGS.find((candidate) => candidate.name === name);
    assert.ok(bug !== undefined);
    const { catches } = await hunt(bug, 30, 1);
    assert.deepEqual([...catches.keys()], [promise]);
  });
}

test('an edit whose text is gone says so', () => {
  const [bug] = BUGS;
  assert.ok(bug !== undefined);
  const edits = [{ file: 'core.ts', find: 'no such text', replace: '' }] as const;
  assert.throws(() => editedFiles({ ...bug, edits }), /no longer fits src\/core\/core\.ts/);
});
