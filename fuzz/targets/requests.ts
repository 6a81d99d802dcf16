/** An encoded request, as it is read back from the order. */
import assert from 'node:assert/strict';
import { MalformedError } from '../../src/wire/bytes.ts';
import { decodeRequest, encodeRequest, HEADERS_MAX } from '../../src/wire/http.ts';
import { refusing, type Target } from '../target.ts';

export const target: Target = {
  seeds: [
    encodeRequest({ method: 'POST', target: '/a?b', headers: ['host', 'x'], body: Buffer.from('body') }),
  ],
  words: ['\x02\0', '\x01\0\0\0', 'host'],
  run: (input) => {
    const request = refusing(() => decodeRequest(input), MalformedError);
    if (request === null) return 'refused';
    assert.ok(encodeRequest(request).equals(input));
    assert.ok(request.headers.length <= HEADERS_MAX);
    return `${Math.min(request.headers.length, 6)} header parts`;
  },
};
