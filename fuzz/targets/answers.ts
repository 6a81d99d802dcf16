/** What an agent sends: refused, or an answer that is the same bytes again when it is encoded. */
import assert from 'node:assert/strict';
import { MalformedError } from '../../src/wire/bytes.ts';
import * as channel from '../../src/wire/channel.ts';
import { FRAME_HEAD_BYTES } from '../../src/wire/frames.ts';
import { refusing, type Target } from '../target.ts';

const { CHUNK_BYTES } = channel;
const SEEDS = [
  channel.resultFrames(7, Buffer.from('reply'), Buffer.from('update')),
  channel.digestAnswer(channel.stateMark(Buffer.alloc(32, 1), 4096), false),
  channel.chunkFrames(Buffer.from('state'), true),
  channel.failedFrames('why'),
];

function encoded(answer: channel.Answer): Buffer {
  switch (answer.type) {
    case 'result':
      return Buffer.concat(channel.resultFrames(answer.index, answer.reply, answer.update));
    case 'digest':
      return Buffer.concat(channel.digestAnswer(Buffer.from(answer.digest, 'base64'), answer.outdated));
    case 'chunk':
      return Buffer.concat(channel.chunkFrames(answer.chunk, answer.last));
    case 'failed':
      return Buffer.concat(channel.failedFrames(answer.message));
  }
}

export const target: Target = {
  seeds: SEEDS.map((frames) => Buffer.concat(frames).subarray(FRAME_HEAD_BYTES - 1)),
  words: ['\x01\0\0\0', '\0\0\0\0\0\0\xf0\x3f', '\xff\xff\xff\xff'],
  run: (input) => {
    const frame = { type: input[0] ?? 0, payload: input.subarray(1) };
    const answer = refusing(() => channel.decodeAnswer(frame), MalformedError);
    if (answer === null) return `refused ${Math.min(frame.type, 5)}`;
    if (answer.type === 'failed') {
      assert.ok(answer.message.length <= input.length);
      assert.doesNotMatch(answer.message, /[^\P{C}\n]/u);
      return 'failed';
    }
    if (answer.type === 'chunk') assert.ok(answer.last && answer.chunk.length < CHUNK_BYTES);
    // A number has several encodings only where it is zero.
    const again = encoded(answer).subarray(FRAME_HEAD_BYTES);
    const zero = answer.type === 'result' && answer.index === 0;
    assert.ok(again.equals(frame.payload) || (zero && again.subarray(8).equals(frame.payload.subarray(8))));
    return answer.type;
  },
};
