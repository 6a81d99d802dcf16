/** Whatever becomes of the folder in which votes are compared, does the group go on? */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { withoutRights } from '../testing.ts';
import { Scratches } from './scratch.ts';

async function* noUpdates(): AsyncIterable<readonly Buffer[]> {}

void test('P6: a folder that cannot be removed, or made, costs a comparison, and not the group or the comparisons after that', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-scratch-'));
  const path = join(place.path, 'comparing');
  const scratches = new Scratches(path, new AbortController().signal, () => Infinity);
  const first = scratches.take(noUpdates);
  assert.equal(first.path, path);
  await first.filled;
  chmodSync(place.path, 0);
  {
    using _ = withoutRights();
    await scratches.give(first);
    const refused = scratches.take(noUpdates);
    assert.equal(refused.path, null);
    assert.match(JSON.stringify(await refused.filled), /EACCES/);
  }
  chmodSync(place.path, 0o700);
  assert.equal(scratches.take(noUpdates).path, path);
});
