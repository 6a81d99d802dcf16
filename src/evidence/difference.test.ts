/** What an operator reads first of two replies that differ: does it name the place? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { encodeReply } from '../wire/http.ts';
import { replyDifference, updateDifference } from './difference.ts';

const reply = (...headers: string[]): Buffer => encodeReply({ status: 200, headers, body: Buffer.from('') });

const HEADERS: Readonly<Record<string, [wrong: Buffer, right: Buffer, name: string]>> = {
  'another value': [reply('a', '1', 'b', '2'), reply('a', '1', 'b', '3'), 'b'],
  'another name': [reply('a', '1', 'c', '2'), reply('a', '1', 'b', '2'), 'c'],
  'left out at the end': [reply('a', '1'), reply('a', '1', 'b', '2', 'c', '3'), 'b'],
  'left out before others': [reply('b', '2'), reply('a', '1', 'b', '2'), 'b'],
  'added at the end': [reply('a', '1', 'b', '2', 'c', '3'), reply('a', '1'), 'b'],
  'the only one added': [reply('a', '1'), reply(), 'a'],
  'the only one left out': [reply(), reply('a', '1'), 'a'],
};

for (const [what, [wrong, right, name]] of Object.entries(HEADERS)) {
  void test(`P6: a header that differs is named: ${what}`, () => {
    assert.equal(replyDifference(wrong, right), `header ${name} differs`);
  });
}

void test('P6: of a body that came compressed no garble is shown', () => {
  const coded = (text: string): Buffer =>
    encodeReply({ status: 200, headers: ['Content-Encoding', 'gzip'], body: gzipSync(text) });
  const found = replyDifference(coded('one two three'), coded('one two four'));
  assert.match(found, /^body \(gzip\) differs at byte \d+$/);
});

for (const at of [0, 1, 65_535, 65_536, 131_071, 199_999, 200_000]) {
  void test(`P6: of two large updates it is named from which byte on they differ: ${at}`, () => {
    const right = Buffer.alloc(200_000, 1);
    const wrong = Buffer.concat([right, Buffer.alloc(1)]);
    wrong[at] = 2;
    const sizes = 'changed the state otherwise: 200001 bytes of update instead of 200000';
    assert.equal(updateDifference(wrong, right), `${sizes}, from byte ${at} on`);
  });
}
