/** Is evidence whole or not there, and its disk bounded? */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempDisposableSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Folders } from './folders.ts';

const place = (): ReturnType<typeof mkdtempDisposableSync> =>
  mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
const of = (bytes: number): { file: string; bytes: Buffer }[] => [
  { file: 'reply-1', bytes: Buffer.alloc(bytes, 7) },
];

void test('P6 V2: what is kept is there as it was given, and pending until it is settled', async () => {
  using root = place();
  const folders = new Folders(root.path, { folders: 3, bytes: 1000 });
  await folders.keep(1, [
    { file: 'a', bytes: Buffer.from('one') },
    { file: 'b', bytes: Buffer.alloc(0) },
  ]);
  assert.equal(readFileSync(join(folders.path(1), 'a'), 'utf8'), 'one');
  assert.deepEqual(folders.pending(), [1]);
  await folders.settle(1);
  assert.deepEqual(folders.pending(), []);
  assert.deepEqual(readdirSync(folders.path(1)), ['a', 'b']);
});

void test('P7: the oldest go when there are too many or too many bytes; the newest stays, however large', async () => {
  using root = place();
  const folders = new Folders(root.path, { folders: 3, bytes: 1000 });
  for (const id of [1, 2, 3, 4]) await folders.keep(id, of(100));
  assert.deepEqual(readdirSync(root.path).sort(), ['2', '3', '4']);
  await folders.keep(5, of(850));
  assert.deepEqual(readdirSync(root.path).sort(), ['4', '5']);
  await folders.keep(6, of(5000));
  assert.deepEqual(readdirSync(root.path), ['6']);
});

void test('P6: a replica that ends at every start pushes out no evidence of what differed, nor the other way round', async () => {
  using root = place();
  const crash = [{ file: 'console.txt', bytes: Buffer.alloc(10) }];
  const kept = (): string => readdirSync(root.path).sort().join(' ');
  const folders = new Folders(root.path, { folders: 4, bytes: 1000 });
  for (const id of [1, 2]) await folders.keep(id, of(100));
  for (const id of [3, 4, 5, 6]) await folders.keep(id, crash);
  assert.equal(kept(), '1 2 5 6');
  const later = new Folders(root.path, { folders: 4, bytes: 1000 });
  for (const id of [7, 8, 9]) await later.keep(id, of(100));
  assert.equal(kept(), '5 6 8 9');
  await later.keep(10, of(950));
  assert.equal(kept(), '10 5 6', 'by their bytes when these are too many');
});

void test('P7: of what cannot be kept whole nothing stays', async () => {
  using root = place();
  const folders = new Folders(root.path, { folders: 3, bytes: 1000 });
  await folders.keep(1, of(100));
  const broken = [...of(5000), { file: 'no/such/folder', bytes: Buffer.alloc(1) }];
  for (const id of [2, 3]) await assert.rejects(folders.keep(id, broken), { code: 'ENOENT' });
  await folders.keep(4, of(100));
  assert.deepEqual(readdirSync(root.path).sort(), ['1', '4']);
});

void test('P7: folders of an earlier life count, by their age; unfinished ones are removed', async () => {
  using root = place();
  for (const id of ['9', '10', '11.new']) {
    mkdirSync(join(root.path, id));
    writeFileSync(join(root.path, id, 'reply-1'), Buffer.alloc(100));
  }
  const folders = new Folders(root.path, { folders: 2, bytes: 1000 });
  await folders.keep(12, of(100));
  assert.deepEqual(readdirSync(root.path).sort(), ['10', '12']);
  assert.equal(existsSync(folders.path(9)), false);
});
