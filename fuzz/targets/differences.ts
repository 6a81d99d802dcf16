/** The sentence for a person about a reply that differs: short, on one line, safe for a terminal. */
import assert from 'node:assert/strict';
import { replyDifference } from '../../src/evidence/difference.ts';
import { encodeReply } from '../../src/wire/http.ts';
import type { Target } from '../target.ts';

const RIGHT = encodeReply({
  status: 200,
  headers: ['content-type', 'text/plain'],
  body: Buffer.from('{"a":1}'),
});
const CHARACTERS_MAX = 1000;

export const target: Target = {
  seeds: [
    RIGHT,
    encodeReply({ status: 200, headers: ['content-type', 'text/html'], body: Buffer.from('{"a":2}') }),
  ],
  words: ['\x1b[2J', '\x9b', '\xe2\x80\xae', '\x02\0\0\0', 'content-length'],
  run: (input) => {
    const text = replyDifference(input, RIGHT);
    assert.ok(text.length <= CHARACTERS_MAX, `${text.length} characters`);
    assert.doesNotMatch(text, /[\p{C}\p{Zl}\p{Zp}]/u);
    return text.split(' ', 1)[0] ?? '';
  },
};
