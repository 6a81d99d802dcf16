/** An encoded reply: refused, or one that can be written to a client as it is, and is the same bytes again when it is encoded. */
import assert from 'node:assert/strict';
import { MalformedError } from '../../src/wire/bytes.ts';
import { decodeReply, encodeReply, endToEndHeaders, namesLength } from '../../src/wire/http.ts';
import { refusing, type Target } from '../target.ts';

export const target: Target = {
  seeds: [
    encodeReply({
      status: 200,
      headers: ['content-type', 'text/plain', 'x-a', 'b'],
      body: Buffer.from('body'),
    }),
    encodeReply({ status: 204, headers: ['content-length', '5'], body: Buffer.alloc(0) }),
  ],
  words: [
    'connection',
    'transfer-encoding',
    'Content-Length',
    'content-length',
    'date',
    '\r\n',
    '\x02\0\0\0',
    '999999',
  ],
  run: (input) => {
    const reply = refusing(() => decodeReply(input), MalformedError);
    if (reply === null) return 'refused';
    const { status, headers, body } = reply;
    assert.ok(encodeReply(reply).equals(input));
    assert.ok(status >= 200 && status <= 599);
    for (let i = 0; i < headers.length; i += 2) {
      assert.match(headers[i] ?? '', /^[!#$%&'*+\-.^_`|~\w]+$/);
      assert.ok(!/[\r\n\0]/.test(headers[i + 1] ?? ''));
    }
    const length = namesLength(reply);
    assert.ok(!length || body.length === 0);
    assert.deepEqual(endToEndHeaders(headers, true), headers);
    return `${headers.length > 0 ? 'with' : 'without'} headers, ${length ? 'a length' : 'no length'}`;
  },
};
