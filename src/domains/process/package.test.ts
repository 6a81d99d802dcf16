/** Is no more of Spare's installation shown to a domain than the agent needs? */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { sourcesOf } from '../../images/sources.ts';
import { DEFAULT_AGENT, packagePaths, ROOT } from './package.ts';
import { contains } from './paths.ts';

void test('E3: no part of Spare itself is shown that is not measured', () => {
  const measured = sourcesOf([], '/nowhere').map(({ path }) => path);
  const shown = packagePaths(DEFAULT_AGENT).filter((path) => contains(ROOT, path));
  const others = shown.filter((path) => !measured.some((folder) => contains(folder, path)));
  assert.ok(shown.length > 0);
  assert.deepEqual(others, []);
});

void test('of the Node that comes with Spare no more is shown than the program that runs, also where that is another one', (context) => {
  const ofNode = (): string[] =>
    packagePaths(DEFAULT_AGENT).filter((path) => path.includes('/node_modules/node-'));
  context.after(
    (
      (path) => () =>
        void (process.execPath = path)
    )(process.execPath),
  );
  process.execPath = '/usr/bin/node';
  assert.deepEqual(ofNode(), []);
});
