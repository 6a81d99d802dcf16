/** Is an update read as it was written, and refused where it is anything else? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from './bytes.ts';
import { writePatchHeader } from './patch.ts';
import { StateError } from './state.ts';
import { readUpdate, writeUpdate } from './update.ts';

const SIZE = 512;

/** Of files with these page counts; null: it did not change. */
function written(files: readonly (number | null)[]): Uint8Array {
  const writer = new ByteWriter();
  return writeUpdate(writer, files, (pageCount) => {
    writePatchHeader(writer, SIZE, pageCount ?? 1);
    if (pageCount === null) return false;
    writer.varint(0);
    return true;
  });
}

void test('P4: an update has a patch for each file that changed, and is nothing where none did', () => {
  assert.deepEqual(readUpdate(written([null, 7, null])), [
    null,
    { pageSize: SIZE, pageCount: 7, pages: [] },
    null,
  ]);
  assert.equal(written([null, null]).length, 0);
  assert.deepEqual(readUpdate(new Uint8Array(0)), []);
});

void test('P4: what is of another version, cut off, or goes on after its end is refused', () => {
  const update = written([7]);
  const other = Uint8Array.from(update, (byte, at) => (at === 0 ? byte + 1 : byte));
  for (const wrong of [other, update.subarray(0, -1), Uint8Array.of(...update, 0)])
    assert.throws(() => readUpdate(wrong), StateError);
});
