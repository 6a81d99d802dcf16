/** Is no more of Spare's installation shown to a domain than the agent needs? */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DEFAULT_AGENT, packagePaths } from './package.ts';

void test('of the Node that comes with Spare no more is shown than the program that runs, also where that is another one', (context) => {
  const ofNode = (): string[] => packagePaths(DEFAULT_AGENT).filter((path) => path.includes('/node-'));
  context.after(
    (
      (path) => () =>
        void (process.execPath = path)
    )(process.execPath),
  );
  process.execPath = '/usr/bin/node';
  assert.deepEqual(ofNode(), []);
});
