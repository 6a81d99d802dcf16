/** Is a person told what is in the way of a start? The rest is in `test/refusals.test.ts`. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const NOBODY = 65_534;
const CLEAR = `
  import { clearLeftovers } from ${JSON.stringify(import.meta.resolve('./data-folder.ts'))};
  await clearLeftovers(process.argv[1]).catch(({ code, message }) => console.log(code, message));`;

void test('what an earlier run left and cannot be removed is named, with a code', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-leftovers-'));
  mkdirSync(join(place.path, 'domains/r1'), { recursive: true });
  chmodSync(place.path, 0o555);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(place.path, NOBODY, NOBODY);
  const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const args = ['--input-type=module', '--eval', CLEAR, place.path];
  const said = execFileSync(process.execPath, args, { ...user, cwd: '/', encoding: 'utf8' });
  chmodSync(place.path, 0o755);
  assert.match(said, /^data-folder-unwritable Cannot remove .* left: EACCES: .*\/domains/);
});
