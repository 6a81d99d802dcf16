/** Does the incremental root always equal that of a tree built anew, and read no more than what changed? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MerkleTree } from './merkle.ts';

void test('the root follows from the images alone, however they came about', () => {
  const step = fc.record({
    count: fc.nat(600),
    changes: fc.array(fc.tuple(fc.nat(599), fc.nat(255)), { maxLength: 5 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const tree = new MerkleTree();
      const images = Array.from({ length: 600 }, () => Buffer.alloc(4));
      const read = (page: number): Buffer => images[page - 1] ?? Buffer.alloc(4);
      for (const { count, changes } of steps) {
        for (const [at, value] of changes) {
          images[at] = Buffer.alloc(4, value);
          tree.touch(at + 1);
        }
        assert.deepEqual(tree.root(count, read), new MerkleTree().root(count, read));
      }
    }),
  );
});

void test('only touched and new pages are read again', () => {
  const tree = new MerkleTree();
  const reads: number[] = [];
  const read = (page: number): Buffer => {
    reads.push(page);
    return Buffer.alloc(4, page);
  };
  tree.root(1000, read);
  assert.equal(reads.length, 1000);
  reads.length = 0;
  tree.touch(7);
  tree.touch(7);
  tree.touch(999);
  tree.root(1002, read);
  assert.deepEqual(reads, [7, 999, 1001, 1002]);
});

void test('different pages, orders and counts give different roots', () => {
  const root = (...images: readonly number[]): string =>
    new MerkleTree().root(images.length, (page) => Buffer.alloc(512, images[page - 1])).toString('hex');
  const roots = [root(), root(0), root(0, 0), root(1, 0), root(0, 1), root(1, 0, 0)];
  assert.equal(new Set(roots).size, roots.length);
});
