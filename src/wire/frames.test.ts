import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MalformedError } from './bytes.ts';
import { FRAME_HEAD_BYTES, type Frame, frameHead, FrameReader } from './frames.ts';

const LIMIT = 64;
const PLAIN = { noNullPrototype: true };

const frames = fc.array(
  fc.record(
    {
      type: fc.nat(255),
      payload: fc.uint8Array({ maxLength: LIMIT }).map((bytes) => Buffer.from(bytes)),
    },
    PLAIN,
  ),
  { maxLength: 20 },
);

function streamOf(list: readonly Frame[]): Buffer {
  return Buffer.concat(list.flatMap(({ type, payload }) => [frameHead(type, payload.length), payload]));
}

/** Cuts at the given places, wherever they fall; empty chunks included. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
}

void test('any chunking of a stream gives the same frames', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat()), (list, places) => {
      const reader = new FrameReader(LIMIT);
      assert.deepEqual(
        cut(streamOf(list), places).flatMap((chunk) => reader.read(chunk)),
        list,
      );
    }),
  );
});

void test('a frame longer than the limit is refused at its head, after the frames before it', () => {
  fc.assert(
    fc.property(frames, fc.integer({ min: LIMIT + 1, max: 0xffff_ffff }), (list, length) => {
      const reader = new FrameReader(LIMIT);
      assert.deepEqual(reader.read(streamOf(list)), list);
      const head = frameHead(1, length);
      assert.deepEqual(reader.read(head.subarray(0, FRAME_HEAD_BYTES - 1)), []);
      assert.throws(() => reader.read(head.subarray(FRAME_HEAD_BYTES - 1)), MalformedError);
    }),
  );
});

void test('any bytes are frames, or too few for one, or refused', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 12 })), (chunks) => {
      const reader = new FrameReader(LIMIT);
      let given = 0;
      let taken = 0;
      try {
        for (const chunk of chunks) {
          given += chunk.length;
          for (const { payload } of reader.read(Buffer.from(chunk))) {
            assert.ok(payload.length <= LIMIT);
            taken += FRAME_HEAD_BYTES + payload.length;
          }
          assert.ok(given - taken < FRAME_HEAD_BYTES + LIMIT);
        }
      } catch (error) {
        assert.ok(error instanceof MalformedError, String(error));
      }
    }),
  );
});

void test('P7: what is kept of a frame in single bytes is its bytes, not as many pieces', () => {
  const size = 64 * 1024 ** 2;
  const pieces = 1_000_000;
  const reader = new FrameReader(size);
  reader.read(frameHead(7, size));
  const kept = (): number => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = kept();
  for (let i = 0; i < pieces; i++) assert.equal(reader.read(Buffer.allocUnsafeSlow(1)).length, 0);
  assert.ok(kept() - before < 32 * pieces, `${kept() - before} bytes`);
});

void test('a large frame in many small chunks is joined once', () => {
  const size = 8 * 1024 ** 2;
  const bytes = Buffer.concat([frameHead(7, size), Buffer.alloc(size, 'x')]);
  const reader = new FrameReader(size);
  const found: Frame[] = [];
  const begun = performance.now();
  for (let at = 0; at < bytes.length; at += 512) found.push(...reader.read(bytes.subarray(at, at + 512)));
  assert.equal(found[0]?.payload.length, size);
  // Joined at each chunk it would be some 60 GB of copying.
  assert.ok(performance.now() - begun < 2000);
});
