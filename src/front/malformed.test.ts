/** Can a client, or beyond f a service, get the front door to pass on what others read otherwise, or what is no HTTP? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Verdict } from '../manager/in-work.ts';
import { HEADERS_MAX } from '../wire/http.ts';
import {
  bodyOf,
  CLOSE,
  exchange,
  HOST,
  NOTHING,
  replyVerdict,
  startFront,
  statusOf,
  TIME_MS,
  Wire,
} from './testing.ts';

void test('upgrades, tunnels and OPTIONS * get 501', async () => {
  await using front = await startFront(NOTHING);
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
  using wire = new Wire(front.port);
  wire.send(`GET / HTTP/1.1\r\n${HOST}${upgrade}\r\n`);
  assert.match(await wire.until(/\n$/), /^HTTP\/1\.1 501 [^]*"websocket"/);
  assert.equal(statusOf(await exchange(front.port, `OPTIONS * HTTP/1.1\r\n${CLOSE}\r\n`)), 501);
  using tunnel = new Wire(front.port);
  tunnel.send(`CONNECT a.test:80 HTTP/1.1\r\n${HOST}\r\n`);
  assert.match(await tunnel.until(/\r\n\r\n/), /^HTTP\/1\.1 501 [^]*Connection: close/);
  assert.equal(front.ordered.length, 0);
});

void test('a body in another transfer coding than chunked gets 501: the service would take the coded bytes for the body', async () => {
  await using front = await startFront(NOTHING);
  for (const coding of ['gzip, chunked', 'gzip\r\nTransfer-Encoding: chunked', 'identity, Chunked']) {
    using wire = new Wire(front.port);
    wire.send(`POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: ${coding}\r\n\r\n1\r\na\r\n0\r\n\r\n`);
    const reply = await wire.until(/supported, only "chunked" is/);
    assert.equal(statusOf(reply), 501);
  }
  assert.equal(front.ordered.length, 0);
  const plain = `POST / HTTP/1.1\r\n${CLOSE}Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`;
  assert.equal(statusOf(await exchange(front.port, plain)), 200);
});

const SMUGGLED: Record<string, string> = {
  'Content-Length and Transfer-Encoding': 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG',
  'Transfer-Encoding and Content-Length': 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nG',
  'two lengths': 'Content-Length: 1\r\nContent-Length: 2\r\n\r\nab',
  'a list of lengths': 'Content-Length: 1, 1\r\n\r\na',
  'a signed length': 'Content-Length: +1\r\n\r\na',
  'a folded header': 'X-A: b\r\n Content-Length: 1\r\n\r\n',
  'a space before the colon': 'Content-Length : 1\r\n\r\na',
  'bare line feeds': 'X-A: b\nContent-Length: 1\n\na',
  'a bare carriage return': 'X-A: b\rX-B: c\r\n\r\n',
  'a NUL in a value': 'X-A: b\0c\r\n\r\n',
  'an unknown coding': 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
  'a coding after chunked': 'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
  'a chunk size that is no number': 'Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n',
  'a chunk longer than it says': 'Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n',
  'two hosts': `${HOST}\r\n`,
  'raw bytes as a target': '',
};

for (const [what, rest] of Object.entries(SMUGGLED)) {
  void test(`a request that others may read otherwise is refused: ${what}`, async () => {
    await using front = await startFront(NOTHING);
    using wire = new Wire(front.port);
    const target = rest === '' ? '/caf\xe9' : '/';
    wire.send(`POST ${target} HTTP/1.1\r\n${CLOSE}${rest}`);
    assert.equal(statusOf(await wire.until(/\r\n\r\n/)), 400);
    assert.equal(front.ordered.length, 0);
  });
}

const INVALID: Record<string, Verdict> = {
  'an impossible status': replyVerdict({ status: 99 }),
  'an interim status': replyVerdict({ status: 101 }),
  'a line break in a header': replyVerdict({ headers: ['x-a', 'b\r\nx-evil: 1'] }),
  'a header without a name': replyVerdict({ headers: ['', 'b'] }),
  'a framing of its own': replyVerdict({ headers: ['transfer-encoding', 'chunked'] }),
  'a length of its own': replyVerdict({ headers: ['content-length', '100'] }),
  'too many headers': replyVerdict({ headers: Array.from({ length: HEADERS_MAX + 2 }, () => 'x') }),
  'no reply at all': { type: 'reply', bytes: Buffer.from('x'), timeMs: TIME_MS },
};

for (const [what, verdict] of Object.entries(INVALID)) {
  void test(`what is not HTTP becomes 502, even when all replicas agree on it: ${what}`, async () => {
    await using front = await startFront(() => 'wait');
    using wire = new Wire(front.port);
    wire.send(`GET / HTTP/1.1\r\n${CLOSE}\r\n`);
    await front.reached(1);
    front.ordered[0]?.done(verdict);
    const reply = await wire.end();
    assert.equal(statusOf(reply), 502);
    assert.match(bodyOf(reply), /^The service's reply is not valid HTTP: .*\.\n$/);
    assert.doesNotMatch(reply, /x-evil: 1\r/);
  });
}

void test('an entry without a reply becomes 502 that says why', async () => {
  const texts = {
    'no-agreement': /do not agree/,
    poison: /ended every replica/,
    timeout: /in time/,
  } as const;
  for (const [reason, text] of Object.entries(texts)) {
    await using front = await startFront(() => ({
      type: 'skipped',
      reason: reason as keyof typeof texts,
      hint: 'incident 3',
    }));
    const reply = await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}\r\n`);
    assert.equal(statusOf(reply), 502);
    assert.match(bodyOf(reply), text);
    assert.match(bodyOf(reply), /\(incident 3\); it had no effect/);
  }
});
