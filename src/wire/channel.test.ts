import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MalformedError } from './bytes.ts';
import {
  applyFrames,
  CHUNK_BYTES,
  chunkFrames,
  decodeAnswer,
  decodeOrder,
  digestAnswer,
  digestFrames,
  executeFrames,
  exportFrames,
  failedFrames,
  importFrames,
  prepareFrames,
  printable,
  printableLines,
  resultFrames,
  startFrames,
  stateMark,
  type StartOrder,
  UPDATE_BYTES_MAX,
} from './channel.ts';
import { FRAME_HEAD_BYTES, type Frame, FrameReader } from './frames.ts';

const bytes = fc.uint8Array({ maxLength: 200 }).map((content) => Buffer.from(content));
const index = fc.maxSafeNat();
const time = fc.double({ noNaN: true });

function sent(parts: readonly Uint8Array[]): Frame {
  const [frame, ...more] = new FrameReader(UPDATE_BYTES_MAX).read(Buffer.concat(parts));
  assert.ok(frame !== undefined && more.length === 0, 'one frame');
  return frame;
}

void test('an order reaches the agent as it was given', () => {
  fc.assert(
    fc.property(index, time, time, bytes, fc.boolean(), (at, timeMs, tickFromMs, content, last) => {
      assert.deepEqual(decodeOrder(sent(executeFrames(at, timeMs, tickFromMs, content))), {
        type: 'execute',
        index: at,
        timeMs,
        tickFromMs,
        entry: content,
      });
      assert.deepEqual(decodeOrder(sent(applyFrames(content))), { type: 'apply', update: content });
      assert.deepEqual(decodeOrder(sent(importFrames(content, last))), {
        type: 'import',
        last,
        chunk: content,
      });
    }),
  );
  assert.deepEqual(decodeOrder(sent(digestFrames())), { type: 'digest' });
  assert.deepEqual(decodeOrder(sent(exportFrames())), { type: 'export' });
  const state = ['a.db', 'ä/b.db'];
  assert.deepEqual(decodeOrder(sent(prepareFrames(state))), { type: 'prepare', state });
  const order: StartOrder = {
    timeMs: 1.5,
    seed: 'c2VlZA==',
    command: ['node', 'sérver.mjs', ''],
    env: { A: '\u{1f600}' },
    port: 3000,
    founds: true,
    timeoutMs: 5,
    replyBytesMax: 7,
  };
  assert.deepEqual(decodeOrder(sent(startFrames(order))), { type: 'start', order });
});

void test('an answer reaches the manager as it was given', () => {
  fc.assert(
    fc.property(index, bytes, bytes, (at, reply, update) => {
      const result = { type: 'result', index: at, reply, update };
      assert.deepEqual(decodeAnswer(sent(resultFrames(at, reply, update))), result);
      assert.deepEqual(decodeAnswer(sent(chunkFrames(reply, true))), {
        type: 'chunk',
        last: true,
        chunk: reply,
      });
    }),
  );
  const mark = stateMark(Buffer.alloc(32, 7), 12_345);
  for (const outdated of [false, true])
    assert.deepEqual(decodeAnswer(sent(digestAnswer(mark, outdated))), {
      type: 'digest',
      digest: Buffer.from(mark).toString('base64'),
      exportBytes: 12_345,
      outdated,
    });
  assert.deepEqual(decodeAnswer(sent(failedFrames('why'))), { type: 'failed', message: 'why' });
});

void test('any frame of a replica is an answer or malformed; nothing else happens', () => {
  const frame = fc.record({ type: fc.oneof(fc.nat(6), fc.nat(255)), payload: bytes });
  fc.assert(
    fc.property(frame, (received) => {
      try {
        const answer = decodeAnswer(received);
        if (answer.type !== 'result') return;
        assert.equal(8 + 4 + answer.reply.length + answer.update.length, received.payload.length);
        assert.ok(Number.isSafeInteger(answer.index) && answer.index >= 0);
      } catch (error) {
        assert.ok(error instanceof MalformedError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

void test('a reply longer than its frame, an index that is none, a chunk or digest of a wrong size are malformed', () => {
  const tooLong = sent(resultFrames(1, Buffer.from('reply'), Buffer.alloc(0)));
  tooLong.payload.writeUInt32LE(0xffff_ffff, 8);
  const bad = [
    tooLong,
    ...[-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53].map((at) =>
      sent(resultFrames(at, Buffer.alloc(0), Buffer.alloc(0))),
    ),
    sent(chunkFrames(Buffer.alloc(CHUNK_BYTES + 1), false)),
    { type: 3, payload: Buffer.from([2]) },
    { type: 3, payload: Buffer.alloc(0) },
    sent(digestAnswer(Buffer.alloc(39), false)),
    sent(digestAnswer(Buffer.alloc(41), false)),
    sent(digestAnswer(stateMark(Buffer.alloc(32), -1), false)),
    { type: 2, payload: Buffer.concat([stateMark(Buffer.alloc(32), 1), Buffer.of(2)]) },
    sent(chunkFrames(Buffer.alloc(CHUNK_BYTES - 1), false)),
    sent(chunkFrames(Buffer.alloc(0), false)),
    { type: 4, payload: Buffer.alloc(5000) },
    { type: 0, payload: Buffer.alloc(0) },
  ];
  for (const frame of bad) assert.throws(() => decodeAnswer(frame), MalformedError);
});

void test('P4 P7: what is decided reaches every replica: an update is malformed just where an order could not hold it', () => {
  const update = Buffer.alloc(UPDATE_BYTES_MAX + 1);
  const largest = update.subarray(1);
  const result = (of: Buffer): Frame => ({
    type: 1,
    payload: Buffer.concat(resultFrames(1, Buffer.alloc(0), of)).subarray(FRAME_HEAD_BYTES),
  });
  assert.equal(decodeAnswer(result(largest)).type, 'result');
  assert.equal(decodeOrder(sent(applyFrames(largest))).type, 'apply');
  assert.throws(() => decodeAnswer(result(update)), MalformedError);
});

void test("P7: a failure's message is cut, and can neither control a terminal nor end its line", () => {
  const long = decodeAnswer(sent(failedFrames('é'.repeat(10_000))));
  assert.ok(long.type === 'failed' && Buffer.byteLength(long.message) <= 4100);
  const escape = decodeAnswer(sent(failedFrames('a\u001b[2J\u202e\u0000b\nc')));
  assert.deepEqual(escape, { type: 'failed', message: 'a\ufffd[2J\ufffd\ufffdb\u240ac' });
  fc.assert(
    fc.property(fc.string({ unit: fc.nat(0x10_ffff).map((code) => String.fromCodePoint(code)) }), (text) => {
      assert.doesNotMatch(printable(text), /[\p{C}\p{Zl}\p{Zp}]/u);
      assert.doesNotMatch(printableLines(text).replaceAll(/[\n\t]/g, ''), /[\p{C}\p{Zl}\p{Zp}]/u);
    }),
  );
});
