/** Is the encoding of a change canonical, exact, and refused when it points anywhere else? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ByteReader, ByteWriter } from './bytes.ts';
import { applyPage, type FilePatch, PageDiffer, readPatch, writePatchHeader } from './patch.ts';
import { StateError } from './state.ts';

const SIZE = 512;

function encode(previous: Uint8Array, next: Uint8Array): Uint8Array {
  const writer = new ByteWriter();
  writePatchHeader(writer, SIZE, 9);
  new PageDiffer(SIZE).write(writer, 3, previous, next);
  writer.varint(0);
  return writer.result();
}

function decode(update: Uint8Array): FilePatch {
  const reader = new ByteReader(update);
  const patch = readPatch(reader);
  reader.end();
  return patch;
}

const image = fc.uint8Array({ minLength: SIZE, maxLength: SIZE });
const edits = fc.array(fc.tuple(fc.nat(SIZE - 1), fc.nat(255)), { maxLength: 40 });

function edited(previous: Uint8Array, changes: readonly (readonly [number, number])[]): Uint8Array {
  const next = Uint8Array.from(previous);
  for (const [at, value] of changes) next[at] = value;
  return next;
}

void test('a patch turns the previous image into the next one, and is never larger than that', () => {
  fc.assert(
    fc.property(image, edits, (previous, changes) => {
      const next = edited(previous, changes);
      const update = encode(previous, next);
      assert.ok(update.length <= SIZE + 5);
      const [change] = decode(update).pages;
      const result = Uint8Array.from(previous);
      if (change !== undefined) applyPage(change, result);
      assert.equal(change === undefined, Buffer.compare(previous, next) === 0);
      assert.deepEqual(result, next);
    }),
  );
});

void test('changes closer than eight bytes are one range, others are not', () => {
  const zeros = new Uint8Array(SIZE);
  const lengths = (...at: readonly number[]): number[] =>
    decode(
      encode(
        zeros,
        edited(
          zeros,
          at.map((place) => [place, 1]),
        ),
      ),
    ).pages[0]?.bytes.map((part) => part.length) ?? [];
  assert.deepEqual(lengths(0, 8), [9]);
  assert.deepEqual(lengths(0, 9), [1, 1]);
  assert.deepEqual(lengths(3, 5, 14, 500, 511), [3, 1, 1, 1]);
  assert.deepEqual(lengths(0, 511), [1, 1]);
});

void test('a page that changed everywhere is sent whole', () => {
  const update = encode(new Uint8Array(SIZE), new Uint8Array(SIZE).fill(7));
  assert.equal(update.length, 1 + 1 + 1 + 1 + SIZE + 1);
});

void test('arbitrary bytes never decode to something outside of page and file', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      image,
      edits,
      fc.nat(600),
      fc.nat(255),
      (noise, page, changes, at, value) => {
        const valid = encode(page, edited(page, changes));
        const damaged = Uint8Array.from(valid);
        damaged[at % valid.length] = value;
        for (const update of [noise, damaged, Buffer.concat([Buffer.of(9, 9, 3), noise])]) {
          try {
            const patch = decode(update);
            let last = 0;
            for (const change of patch.pages) {
              assert.ok(change.page > last && change.page <= patch.pageCount);
              last = change.page;
              applyPage(change, new Uint8Array(patch.pageSize));
            }
          } catch (error) {
            assert.ok(error instanceof StateError, String(error));
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});

void test('updates coalesce: patches of one page, applied one after another, leave its last image', () => {
  fc.assert(
    fc.property(image, fc.array(edits, { maxLength: 8 }), (first, entries) => {
      const applied = Uint8Array.from(first);
      let last: Uint8Array = first;
      for (const changes of entries) {
        const next = edited(last, changes);
        for (const page of decode(encode(last, next)).pages) applyPage(page, applied);
        last = next;
      }
      assert.deepEqual(applied, Uint8Array.from(last));
    }),
  );
});
