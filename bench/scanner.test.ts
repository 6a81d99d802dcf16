import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseScanner } from './scanner.ts';

const PLAIN = 'HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello';
const CHUNKED =
  'HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\na;x=y\r\n0123456789\r\n0\r\nT: z\r\n\r\n';
const EMPTY = 'HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n';

function scan(text: string, chunkBytes: number): ResponseScanner {
  const scanner = new ResponseScanner();
  const bytes = Buffer.from(text, 'latin1');
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const complete = scanner.push(bytes.subarray(at, at + chunkBytes));
    assert.equal(complete, at + chunkBytes >= bytes.length, `complete at byte ${at} of ${bytes.length}`);
  }
  return scanner;
}

void test('a response ends at its last byte, however it is cut', () => {
  for (const [text, status, bodyBytes] of [
    [PLAIN, 200, 5],
    [CHUNKED, 201, 15],
    [EMPTY, 204, 0],
  ] as const) {
    for (let chunkBytes = 1; chunkBytes <= text.length; chunkBytes++) {
      const scanner = scan(text, chunkBytes);
      assert.equal(scanner.status, status);
      assert.equal(scanner.bodyBytes, bodyBytes);
    }
  }
});

void test('the head can be looked at, and the next response starts anew', () => {
  const scanner = scan(PLAIN, 1000);
  assert.match(scanner.head, /\r\nX: y\r\n/);
  scanner.reset();
  assert.equal(scanner.push(Buffer.from(EMPTY)), true);
  assert.equal(scanner.bodyBytes, 0);
});

void test('what is no single response is refused', () => {
  for (const text of [
    `${PLAIN}H`,
    'HTTP/1.1 200 OK\r\n\r\nwithout end',
    'SSH-2.0-x\r\n\r\n',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
  ]) {
    assert.throws(() => new ResponseScanner().push(Buffer.from(text)), Error, text);
  }
});
