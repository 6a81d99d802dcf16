/** Does a comparison point at the place that differs, whatever the two replies are? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { encodeReply, type HttpReply } from '../../wire/http.ts';
import { LISTED_MAX } from './difference.ts';
import { replyDifferences } from './replies.ts';

function places(is: Partial<HttpReply> | Buffer, instead: Partial<HttpReply>): string[] {
  const whole = (reply: Partial<HttpReply>): Buffer =>
    encodeReply({ status: 200, headers: [], body: Buffer.alloc(0), ...reply });
  const a = Buffer.isBuffer(is) ? is : whole(is);
  return replyDifferences(a, whole(instead)).map(({ where, is, instead }) => `${where}: ${is} | ${instead}`);
}

const json = (value: unknown): { body: Buffer } => ({ body: Buffer.from(JSON.stringify(value)) });

void test('P6: status, headers and the fields of a JSON body are named', () => {
  assert.deepEqual(places({ status: 500 }, {}), ['status: 500 | 200']);
  assert.deepEqual(places({ headers: ['ETag', 'a', 'x', '1'] }, { headers: ['etag', 'b'] }), [
    'header etag: "a" | "b"',
    'header x: "1" | nothing',
  ]);
  assert.deepEqual(places({ headers: ['a', '1', 'b', '2'] }, { headers: ['b', '2', 'a', '1'] }), [
    'headers, their order or case: a, b | b, a',
  ]);
  assert.deepEqual(
    places(json({ a: { b: [1, { c: 'x' }] }, 'd e': null }), json({ a: { b: [1, { c: 'y' }, 3] } })),
    ['body $.a.b[1].c: "x" | "y"', 'body $.a.b[2]: nothing | 3', 'body $["d e"]: null | nothing'],
  );
});

void test('P6: what is equal as JSON and not as bytes, text and binary are told by line and byte', () => {
  assert.match(
    places({ body: Buffer.from('{"a":1,"b":2}') }, json({ b: 2, a: 1 }))[0] ?? '',
    /^body line 1, byte 2: /,
  );
  assert.deepEqual(
    places({ body: Buffer.from('one\ntwo\nthree') }, { body: Buffer.from('one\ntoo\nthree') }),
    ['body line 2, byte 5: "two" | "too"'],
  );
  assert.deepEqual(places({ body: Buffer.from([1, 0xff, 0]) }, { body: Buffer.from([1, 0xfe]) }), [
    'body byte 1: ff00 | fe',
  ]);
  assert.deepEqual(places({ body: Buffer.from('ab') }, { body: Buffer.from('abc') }), [
    'body line 1, byte 2: "ab" | "abc"',
  ]);
});

for (const [coding, compress] of Object.entries({
  br: brotliCompressSync,
  deflate: deflateSync,
  gzip: gzipSync,
  zstd: zstdCompressSync,
})) {
  void test(`P6: a body that came compressed by ${coding} is compared as it was before`, () => {
    const whole = (value: unknown): Partial<HttpReply> => ({
      headers: ['Content-Encoding', coding],
      body: compress(JSON.stringify(value)),
    });
    assert.deepEqual(places(whole({ a: 1, b: 'x' }), whole({ a: 1, b: 'y' })), ['body $.b: "x" | "y"']);
  });
}

const HEX = /^body byte \d+: ([0-9a-f]+|nothing) \| ([0-9a-f]+|nothing)$/;

void test('P7: what is not compressed as it says, ends too early or becomes huge is told as bytes', () => {
  const gzip = (body: Buffer): Partial<HttpReply> => ({ headers: ['content-encoding', 'gzip'], body });
  const short = gzipSync('one');
  for (const wrong of [Buffer.from('gone'), short.subarray(0, -9), gzipSync(Buffer.alloc(64 * 1024 ** 2))])
    assert.match(places(gzip(wrong), gzip(short)).join(), HEX);
  const other = gzipSync('one', { level: 0 });
  assert.match(places(gzip(other), gzip(short)).join(), HEX);
});

void test('P6: texts that differ from their first byte on differ in their first line', () => {
  const text = (body: string): { body: Buffer } => ({ body: Buffer.from(body) });
  assert.deepEqual(places(text('one\ntwo\n'), text('other\ntwo\n')), [
    'body line 1, byte 1: "one" | "other"',
  ]);
  assert.deepEqual(places(text('<b>\nx\n'), text('no\nx\n')), ['body line 1, byte 0: "<b>" | "no"']);
});

void test('P6: of a long text, field or header that differs far in, what differs is shown', () => {
  const text = (end: string): string => `${'same '.repeat(500)}${end}${' same'.repeat(500)}`;
  const line = (end: string): { body: Buffer } => ({ body: Buffer.from(text(end)) });
  for (const found of [
    places(line('one'), line('two')),
    places(json({ a: text('one') }), json({ a: text('two') })),
    places({ headers: ['etag', text('one')] }, { headers: ['etag', text('two')] }),
  ]) {
    assert.match(found.join(), /^[^:]+: "?….*same one same.*… *"? \| "?….*same two same.*…"?$/);
    assert.ok(found.join().length < 400);
  }
});

void test('P7: what is no reply, nested without end or different everywhere is told in few words', () => {
  assert.match(places(Buffer.from([0]), {})[0] ?? '', /^form: not a valid reply: .* \| a valid reply$/);
  const nested = (depth: number, end: string): { body: Buffer } => ({
    body: Buffer.from(`${'['.repeat(depth)}${end}${']'.repeat(depth)}`),
  });
  assert.equal(places(nested(300, '1'), nested(300, '2')).length, 1);
  assert.equal(places(nested(200_000, '1'), nested(200_000, '2')).length, 1);
  const many = (value: number): unknown => Array.from({ length: 10_000 }, () => value);
  const found = places(json(many(1)), json(many(2)));
  assert.equal(found.length, LISTED_MAX + 1);
  const long = places(json({ a: 'x'.repeat(10_000) }), json({ a: 'y' }))[0] ?? '';
  assert.ok(long.length < 300 && !long.includes('\u001b'));
  assert.doesNotMatch(places(json({ '\u001b[2J': '\u001b[2J' }), json({}))[0] ?? '', /\p{Cc}/u);
});
