/** Is a check that is asked for anew a new one, also when another has just ended? On real files. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Images } from './images.ts';

const HOUR_MS = 3_600_000;

test('P6 I1: a check that has just passed serves for a start; none that is asked for anew, and none after a change was seen', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-images-'));
  const [folder, data] = ['service', 'data'].map((name) => join(place.path, name));
  assert.ok(folder !== undefined && data !== undefined);
  for (const path of [data, join(folder, '.git')]) mkdirSync(path, { recursive: true });
  writeFileSync(join(folder, 'server.mjs'), 'serve()');
  await using images = new Images(data, () => {});
  const image = await images.measure([{ folder, command: ['node', 'server.mjs'], env: {}, state: [] }]);
  const passed = await images.check(image);
  assert.deepEqual(passed, [join(folder, '.git')]);
  writeFileSync(join(folder, 'server.mjs'), 'attack()');
  assert.deepEqual(await images.check(image, HOUR_MS), passed);
  await assert.rejects(images.check(image), { code: 'image-changed' });
  await assert.rejects(images.check(image, HOUR_MS), { code: 'image-changed' });
  writeFileSync(join(folder, 'server.mjs'), 'serve()');
  assert.deepEqual(await images.check(image, HOUR_MS), passed);
});
