/**
 * Does the protocol still do what `transcripts/` shows? After a change that is meant, write them anew, and read the difference:
 * `node --test --test-update-snapshots sim/stories.test.ts`.
 */
import { readdirSync } from 'node:fs';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SCRIPTS, tell } from './stories.ts';

const FOLDER = new URL('transcripts/', import.meta.url);
const LINES_MAX = 120;

for (const script of SCRIPTS) {
  test(`P1-P7: ${script.name} goes as told, byte for byte`, (t) => {
    const text = tell(script);
    assert.ok(text.split('\n').length <= LINES_MAX, 'short enough to be read');
    assert.equal(tell(script), text);
    t.assert.fileSnapshot(text, new URL(`${script.name}.txt`, FOLDER).pathname, { serializers: [String] });
  });
}

test('there is no transcript without its script', () => {
  const names = SCRIPTS.map(({ name }) => `${name}.txt`);
  assert.deepEqual(readdirSync(FOLDER).sort(), names.sort());
});
