/** Frames cut into any pieces: what comes out is what was sent, and nothing that was announced too large. */
import assert from 'node:assert/strict';
import { MalformedError } from '../../src/wire/bytes.ts';
import { FRAME_HEAD_BYTES, type Frame, frameHead, FrameReader } from '../../src/wire/frames.ts';
import { refusing, type Target } from '../target.ts';

const LIMIT = 300;

function read(input: Buffer, cut: (at: number) => number): Frame[] | null {
  const reader = new FrameReader(LIMIT);
  return refusing(() => {
    const frames: Frame[] = [];
    for (let at = 0; at < input.length;) {
      const end = Math.min(input.length, at + cut(at));
      frames.push(...reader.read(input.subarray(at, end)));
      at = end;
    }
    return frames;
  }, MalformedError);
}

export const target: Target = {
  seeds: [
    Buffer.concat([
      frameHead(1, 3),
      Buffer.from('abc'),
      frameHead(2, 0),
      frameHead(3, 200),
      Buffer.alloc(200),
    ]),
  ],
  words: ['\x05\0\0\0', '\x2c\x01\0\0', '\x2d\x01\0\0'],
  run: (input) => {
    const step = 1 + ((input[0] ?? 0) % 61);
    const whole = read(input, () => input.length);
    const pieces = read(input, (at) => 1 + ((input[at] ?? 0) % step));
    if (whole === null || pieces === null) {
      assert.equal(whole, pieces);
      return 'refused';
    }
    assert.equal(whole.length, pieces.length);
    let at = 0;
    for (const [i, { type, payload }] of whole.entries()) {
      assert.ok(payload.length <= LIMIT);
      assert.ok(
        payload.equals(input.subarray(at + FRAME_HEAD_BYTES, at + FRAME_HEAD_BYTES + payload.length)),
      );
      assert.ok(type === pieces[i]?.type && payload.equals(pieces[i].payload));
      at += FRAME_HEAD_BYTES + payload.length;
    }
    return `${Math.min(whole.length, 8)} frames, ${at === input.length ? 'whole' : 'cut'}`;
  },
};
