/** What the front door makes of a client's request: no hop-by-hop header, one host, one address, one encoding. */
import assert from 'node:assert/strict';
import { forwardedHeaders, severalHosts, targetOf, tooManyHeaders } from '../../src/front/request.ts';
import { decodeRequest, encodeRequest } from '../../src/wire/http.ts';
import { messageOf } from '../message.ts';
import type { Target } from '../target.ts';

const NEVER = new Set([
  'connection',
  'keep-alive',
  'te',
  'upgrade',
  'transfer-encoding',
  'content-length',
  'expect',
]);

export const target: Target = {
  seeds: [
    Buffer.from('GET\n/a?b=c\nHost:example.org\nConnection:x-a, close\nX-A:1\nX-Forwarded-For:10.0.0.1'),
    Buffer.from('POST\nhttp://other.org/a\nhost:example.org\ntransfer-encoding:chunked'),
    Buffer.from('POST\nhttps://other.org?a\nhost:a\nhost:b'),
  ],
  words: [
    'connection:',
    'host:',
    '\n',
    'http://',
    'x-forwarded-for:',
    'keep-alive',
    'expect:100-continue',
    '*',
    '%00',
  ],
  run: (input) => {
    const message = messageOf(input);
    if (severalHosts(message)) return 'several hosts';
    if (tooManyHeaders(message)) return 'too many headers';
    const { target: path, host } = targetOf(message);
    assert.ok(path.startsWith('/'));
    const headers = forwardedHeaders(message, host);
    const names = headers.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
    assert.equal(headers.length % 2, 0);
    assert.ok(names.every((name) => !NEVER.has(name)));
    for (const once of ['host', 'x-forwarded-for']) {
      assert.equal(names.filter((name) => name === once).length, 1, once);
    }
    const request = { method: message.method ?? '', target: path, headers, body: Buffer.alloc(0) };
    const back = decodeRequest(encodeRequest(request));
    assert.equal(JSON.stringify(back.headers), JSON.stringify(headers));
    assert.ok(back.method === request.method && back.target === path);
    return message.url === path ? 'as it came' : 'rewritten';
  },
};
