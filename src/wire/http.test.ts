import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MalformedError } from './bytes.ts';
import {
  decodeReply,
  decodeRequest,
  encodeReply,
  encodeRequest,
  endToEndHeaders,
  HEADERS_MAX,
  type HttpReply,
  namesLength,
} from './http.ts';

/** As literals are, so that they can be compared. */
const PLAIN = { noNullPrototype: true };

const latin1 = (minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.nat(255).map((code) => String.fromCodePoint(code)), minLength, maxLength });
const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const anyHeaders = fc
  .array(fc.tuple(latin1(0, 20), latin1(0, 40)), { maxLength: 10 })
  .map((pairs) => pairs.flat());

const TOKEN = Array.from("!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz");
const name = fc
  .string({ unit: fc.constantFrom(...TOKEN), minLength: 1, maxLength: 20 })
  .filter((text) => endToEndHeaders([text, '']).length > 0);
const TEXT = Array.from({ length: 256 }, (_, code) => String.fromCodePoint(code)).filter(
  (text) => text === '\t' || (text >= ' ' && text !== '\x7f'),
);
const value = fc.string({ unit: fc.constantFrom(...TEXT), maxLength: 40 });
const headers = fc.array(fc.tuple(name, value), { maxLength: 10 }).map((pairs) => pairs.flat());
const reply: fc.Arbitrary<HttpReply> = fc.record(
  { status: fc.integer({ min: 200, max: 599 }), headers, body },
  PLAIN,
);

void test('a request decodes to what was encoded', () => {
  const request = fc.record(
    { method: latin1(1, 20), target: latin1(0, 200), headers: anyHeaders, body },
    PLAIN,
  );
  fc.assert(fc.property(request, (sent) => assert.deepEqual(decodeRequest(encodeRequest(sent)), sent)));
});

void test('a reply decodes to what was encoded', () => {
  fc.assert(fc.property(reply, (sent) => assert.deepEqual(decodeReply(encodeReply(sent)), sent)));
});

void test('P7: what is malformed is named shortly', () => {
  const sent = encodeReply({ status: 200, headers: ['\u009b'.repeat(100_000), ''], body: Buffer.alloc(0) });
  assert.throws(
    () => decodeReply(sent),
    (error: unknown) => error instanceof MalformedError && error.message.length < 200,
  );
});

void test('the reply to HEAD may name the length of a body that is not there, once', () => {
  const sent = { status: 200, headers: ['x-a', 'b', 'content-length', '5'], body: Buffer.alloc(0) };
  assert.deepEqual(decodeReply(encodeReply(sent)), sent);
  assert.equal(namesLength(sent), true);
  assert.equal(namesLength({ ...sent, headers: ['x-a', 'content-length'] }), false);
  for (const bad of [
    { ...sent, body: Buffer.from('12345') },
    { ...sent, headers: ['content-length', '5', 'content-length', '5'] },
    { ...sent, headers: ['content-length', '-5'] },
    { ...sent, headers: ['Content-Length', '5'] },
  ])
    assert.throws(() => decodeReply(encodeReply(bad)), MalformedError);
});

void test('any bytes decode, or are malformed; nothing else happens', () => {
  const valid = fc.oneof(
    reply.map(encodeReply),
    fc.record({ method: latin1(1, 9), target: latin1(1, 20), headers: anyHeaders, body }).map(encodeRequest),
  );
  const damaged = fc.tuple(valid, fc.nat(), fc.nat(255), fc.nat()).map(([bytes, at, byte, length]) => {
    const copy = Buffer.from(bytes);
    copy[at % copy.length] = byte;
    return copy.subarray(0, copy.length - (length % 4));
  });
  const random = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(damaged, random), (bytes) => {
      for (const decode of [decodeReply, decodeRequest]) {
        try {
          const found = decode(bytes);
          const { headers, body } = found;
          const size = headers.reduce((total, text) => total + text.length, body.length);
          assert.ok(size <= bytes.length, 'nothing beyond the bytes');
        } catch (error) {
          assert.ok(error instanceof MalformedError, String(error));
        }
      }
    }),
    { numRuns: 1000 },
  );
});

void test('no decoded reply can split, frame or misname a response', () => {
  const part = fc.string({ unit: fc.constantFrom('a', '\r', '\n', '\0', ':', ' '), maxLength: 2 });
  const evil = fc.record({
    status: fc.oneof(fc.nat(65_535), fc.constant(200)),
    headers: fc
      .array(fc.tuple(fc.oneof(part, fc.constant('a')), part), { maxLength: 3 })
      .map((pairs) => pairs.flat()),
    body: fc.constant(Buffer.from('b')),
  });
  fc.assert(
    fc.property(evil, (sent) => {
      try {
        const { status, headers } = decodeReply(encodeReply(sent));
        assert.ok(status >= 200 && status <= 599);
        for (const text of headers) assert.doesNotMatch(text, /[\r\n\0]/);
      } catch (error) {
        assert.ok(error instanceof MalformedError, String(error));
      }
    }),
    { numRuns: 500 },
  );
  for (const framing of [
    'Transfer-Encoding',
    'CONNECTION',
    'content-length',
    'Date',
    'upgrade',
    'keep-alive',
  ])
    assert.throws(
      () => decodeReply(encodeReply({ status: 200, headers: [framing, '1'], body: Buffer.from('b') })),
      MalformedError,
    );
});

void test('too many headers are malformed, on both ways', () => {
  const most = Array.from({ length: HEADERS_MAX }, () => 'x');
  const request = { method: 'GET', target: '/', body: Buffer.alloc(0) };
  const sent = { status: 200, body: Buffer.alloc(0) };
  decodeRequest(encodeRequest({ ...request, headers: most }));
  decodeReply(encodeReply({ ...sent, headers: most }));
  for (const many of [['x'], [...most, 'x', 'x']]) {
    assert.throws(() => decodeRequest(encodeRequest({ ...request, headers: many })), MalformedError);
    assert.throws(() => decodeReply(encodeReply({ ...sent, headers: many })), MalformedError);
  }
});

void test('what belongs to the connection is dropped, the rest keeps its order and case', () => {
  const raw = [
    'Connection',
    'keep-alive, X-Mine',
    'X-B',
    '1',
    'x-mine',
    '2',
    'TE',
    'gzip',
    'Date',
    'd',
    'X-B',
    '3',
  ];
  assert.deepEqual(endToEndHeaders(raw), ['X-B', '1', 'X-B', '3']);
  const length = ['Content-Length', '7', 'X-A', 'b', 'Transfer-Encoding', 'chunked'];
  assert.deepEqual(endToEndHeaders(length), ['X-A', 'b']);
  assert.deepEqual(endToEndHeaders(length, true), ['content-length', '7', 'X-A', 'b']);
});
