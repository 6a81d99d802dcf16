/** Is a person told what is in the way of a start? The rest is in `test/refusals.test.ts`. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs, {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempDisposableSync,
  readdirSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { IMAGES } from '../domains/qemu/driver.ts';
import { prepareDataFolder } from './data-folder.ts';
import { untilDone } from '../testing.ts';

const NOBODY = 65_534;

/** What this call says to a user who owns the folder, but may do no more with it than this. */
function said(folder: string, mode: number, call: 'clearLeftovers' | 'prepareDataFolder'): string {
  const script = `
    import { ${call} } from ${JSON.stringify(import.meta.resolve('./data-folder.ts'))};
    try { await ${call}(process.argv[1]); } catch ({ code, message }) { console.log(code, message); }`;
  chmodSync(folder, mode);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(folder, NOBODY, NOBODY);
  const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const args = ['--input-type=module', '--eval', script, folder];
  const text = execFileSync(process.execPath, args, { ...user, cwd: '/', encoding: 'utf8' });
  chmodSync(folder, 0o755);
  return text;
}

void test('what an earlier run left and cannot be removed is named, with a code', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-leftovers-'));
  mkdirSync(join(place.path, 'domains/r1'), { recursive: true });
  const text = said(place.path, 0o555, 'clearLeftovers');
  assert.match(text, /^data-folder-unwritable Cannot remove .* left: EACCES: .*\/domains/);
});

void test('a folder that cannot be read is told as one, whatever may be written to it', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-unreadable-'));
  const text = said(place.path, 0o300, 'prepareDataFolder');
  assert.match(text, /^data-folder-unwritable Cannot write to .*: permission denied\.$/m);
});

void test('P2: taking back a data folder leaves what others put beside it in a folder that was made for it', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-discard-'));
  const above = join(place.path, 'groups');
  const fill = (name: string): (() => void) => {
    const folder = prepareDataFolder(join(above, name));
    writeFileSync(join(above, name, 'spare.db'), '');
    return () => folder.discard();
  };
  const discard = fill('of/one');
  const discardOther = fill('of/other');
  discard();
  assert.ok(!existsSync(join(above, 'of/one')));
  assert.ok(existsSync(join(above, 'of/other/spare.db')));
  discardOther();
  assert.ok(existsSync(join(above, 'of')), 'it was there');
  rmdirSync(join(above, 'of'));
  rmdirSync(above);
  fill('alone')();
  assert.ok(!existsSync(above));
});

void test('P2: taking back a data folder that was there leaves it as it was, with the images that others built in it', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-discard-'));
  mkdirSync(join(place.path, IMAGES));
  chmodSync(place.path, 0o750);
  const folder = prepareDataFolder(place.path);
  assert.equal(statSync(place.path).mode & 0o777, 0o700, 'others are kept out meanwhile');
  writeFileSync(join(place.path, 'spare.db'), '');
  folder.discard();
  assert.deepEqual(readdirSync(place.path), [IMAGES]);
  assert.equal(statSync(place.path).mode & 0o777, 0o750);
});

test('a folder that another start makes at the same moment is not taken for a file', (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-discard-'));
  const { mkdirSync: make } = fs;
  context.mock.method(fs, 'mkdirSync', (path: string) => {
    make(path);
    make(path);
  });
  untilDone(context);
  const data = join(place.path, 'groups/one');
  prepareDataFolder(data).discard();
  assert.ok(existsSync(data), 'it is of the other one');
});
