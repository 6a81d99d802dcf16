/** Whatever a captured replica left in its folder: does it go, and does that cost the manager nothing? */
import assert from 'node:assert/strict';
import { ChildProcess, execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { removeFolder } from './remove-folder.ts';
import { withDescriptors } from './testing.ts';

const NOBODY = 65_534;
const FILES = 2000;

/** Leftovers of a domain that was killed with its manager. */
const CLEAR = `
  import { clearLeftovers } from ${JSON.stringify(import.meta.resolve('./cli/data-folder.ts'))};
  await clearLeftovers(process.argv[1]);`;

void test('D3: a folder nested deeper than any path can say is removed', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-remove-'));
  const folder = join(place.path, 'deep');
  mkdirSync(folder);
  const script = `name=$(printf %0200d 0); i=0
    while [ $i -lt 40 ]; do mkdir $name && cd -P $name 2>/dev/null || exit 1; i=$((i + 1)); done`;
  execFileSync('bash', ['-c', script], { cwd: folder });
  await removeFolder(folder);
  assert.equal(existsSync(folder), false);
});

void test('P7, D3: to remove many files costs the manager no more than to remove few', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-remove-'));
  const folder = join(place.path, 'wide');
  mkdirSync(folder);
  for (let i = 0; i < FILES; i++) writeFileSync(join(folder, String(i)), '');
  let most = 0;
  const looking = setInterval(() => (most = Math.max(most, process.getActiveResourcesInfo().length)), 1);
  await removeFolder(folder);
  clearInterval(looking);
  assert.equal(existsSync(folder), false);
  assert.ok(most > 0 && most < FILES / 10, `${most} under way at once`);
});

void test('P2: what a captured replica closed is cleared at the next start, also of a manager that is not root', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-remove-'));
  const closed = join(place.path, 'domains/r1/work/closed');
  mkdirSync(join(closed, 'below'), { recursive: true });
  chmodSync(closed, 0o000);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    const folders = ['.', 'domains', 'domains/r1', 'domains/r1/work', 'domains/r1/work/closed'];
    for (const name of folders) chownSync(join(place.path, name), NOBODY, NOBODY);
  }
  const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  execFileSync(process.execPath, ['--input-type=module', '--eval', CLEAR, place.path], { ...user, cwd: '/' });
  assert.equal(existsSync(join(place.path, 'domains/r1')), false);
});

void test('D3: without descriptors for a process of its own, a folder is removed all the same', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-remove-'));
  const folder = join(place.path, 'few');
  mkdirSync(folder);
  writeFileSync(join(folder, 'file'), '');
  await withDescriptors(2, () => removeFolder(folder));
  assert.equal(existsSync(folder), false);
});

void test('D3: without memory for a process of its own, too', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-remove-'));
  const folder = join(place.path, 'few');
  mkdirSync(folder);
  // As Node does it.
  context.mock.method(ChildProcess.prototype as unknown as { spawn(): void }, 'spawn', () => {
    throw Object.assign(new Error('spawn ENOMEM'), { code: 'ENOMEM' });
  });
  await removeFolder(folder);
  assert.equal(existsSync(folder), false);
});
