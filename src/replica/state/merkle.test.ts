/** Does the incremental root always equal that of a tree built anew, and read no more than what changed? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MerkleTree } from './merkle.ts';

void test('the root follows from the images alone, however they came about', () => {
  const step = fc.record({
    count: fc.nat(600),
    anew: fc.boolean(),
    changes: fc.array(fc.tuple(fc.nat(599), fc.nat(255), fc.boolean()), { maxLength: 5 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const tree = new MerkleTree();
      const images = Array.from({ length: 600 }, () => Buffer.alloc(4));
      const read = (page: number): Buffer => images[page - 1] ?? Buffer.alloc(4);
      for (const { count, anew, changes } of steps) {
        if (anew) tree.touchAll();
        for (const [at, value, shown] of changes) {
          images[at] = Buffer.alloc(4, value);
          if (shown) tree.show(at + 1, read(at + 1));
          else tree.touch(at + 1);
        }
        assert.deepEqual(tree.root(count, read), new MerkleTree().root(count, read));
      }
    }),
  );
});

void test('touched and new pages are read again, and a bounded number of others in turn', () => {
  const tree = new MerkleTree();
  const count = 5000;
  const reads: number[] = [];
  const read = (page: number): Buffer => {
    reads.push(page);
    return Buffer.alloc(4, page);
  };
  tree.root(count, read);
  assert.equal(reads.length, count);
  reads.length = 0;
  tree.touch(4007);
  tree.touch(4007);
  tree.touch(4999);
  tree.root(count + 2, read);
  for (const page of [4007, 4999, count + 1, count + 2]) assert.ok(reads.includes(page));
  assert.equal(reads.length, new Set(reads).size);
  assert.ok(reads.length < 300);
  reads.length = 0;
  tree.touchAll();
  for (let page = 1; page <= count; page += 1) if (page !== 4007) tree.show(page, Buffer.alloc(4, page));
  tree.root(count, read);
  assert.deepEqual(reads, [4007], 'what it was shown it need not read');
});

void test('M2: a page that changed behind its back shows in the root after a while', () => {
  const tree = new MerkleTree();
  const count = 2000;
  let corrupt = 0;
  const read = (page: number): Buffer => Buffer.alloc(4, page === corrupt ? 1 : 0);
  const sound = tree.root(count, read);
  corrupt = 1234;
  let roots = 1;
  while (tree.root(count, read).equals(sound)) roots += 1;
  assert.ok(roots < 10, `${roots} roots`);
});

void test('different pages, orders and counts give different roots', () => {
  const root = (...images: readonly number[]): string =>
    new MerkleTree().root(images.length, (page) => Buffer.alloc(512, images[page - 1])).toString('hex');
  const roots = [root(), root(0), root(0, 0), root(1, 0), root(0, 1), root(1, 0, 0)];
  assert.equal(new Set(roots).size, roots.length);
});
