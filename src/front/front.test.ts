/** Does HTTP mean to the service, and to the client, what it would mean without Spare in between? */
import assert from 'node:assert/strict';
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { HttpRequest } from '../wire/http.ts';
import { targetOf } from './request.ts';
import {
  bodyOf,
  CLOSE,
  exchange,
  NOTHING,
  replyVerdict,
  startFront,
  statusOf,
  valuesOf,
  Wire,
} from './testing.ts';

function echo(request: HttpRequest): { body: Uint8Array } {
  return { body: Buffer.from(`${request.method} ${request.target} ${Buffer.from(request.body).toString()}`) };
}

function headersOf(request: HttpRequest | undefined, name: string): string[] {
  const { headers = [] } = request ?? {};
  return headers.filter((_, i) => i % 2 === 1 && headers[i - 1]?.toLowerCase() === name);
}

void test('a connection is kept and used again', async () => {
  await using front = await startFront(echo);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number | undefined>();
  for (let i = 0; i < 3; i++) {
    await new Promise<void>((resolve) => {
      httpRequest({ port: front.port, host: '127.0.0.1', path: `/${i}`, agent }, (response) => {
        ports.add(response.socket.localPort);
        response.resume().on('end', resolve);
      }).end();
    });
  }
  agent.destroy();
  assert.equal(ports.size, 1);
  assert.deepEqual(
    front.ordered.map(({ request }) => request.target),
    ['/0', '/1', '/2'],
  );
});

void test('pipelined requests are executed and answered in their order', async () => {
  await using front = await startFront(() => 'wait');
  using wire = new Wire(front.port);
  wire.send('POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\naGET /b HTTP/1.1\r\nHost: x\r\n\r\n');
  wire.send(`POST /c HTTP/1.1\r\n${CLOSE}Content-Length: 1\r\n\r\nc`);
  for (let i = 1; i <= 3; i++) {
    await front.reached(i);
    const { request, done } = front.ordered.at(-1) ?? assert.fail();
    done(replyVerdict({ body: Buffer.from(`<${request.target}>`) }));
  }
  assert.deepEqual((await wire.end()).match(/<\/.>/g), ['</a>', '</b>', '</c>']);
  assert.deepEqual(
    front.ordered.map(({ request }) => Buffer.from(request.body).toString()),
    ['a', '', 'c'],
  );
});

void test('a chunked body reaches the service whole', async () => {
  await using front = await startFront(echo);
  const reply = await exchange(
    front.port,
    `POST /p HTTP/1.1\r\n${CLOSE}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n`,
  );
  assert.equal(bodyOf(reply), 'POST /p abcde');
  assert.deepEqual(headersOf(front.ordered[0]?.request, 'transfer-encoding'), []);
});

void test('Expect: 100-continue is answered before the body comes, and is not passed on', async () => {
  await using front = await startFront(echo);
  using wire = new Wire(front.port);
  wire.send(`POST /p HTTP/1.1\r\n${CLOSE}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`);
  await wire.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
  wire.send('ab');
  assert.match(await wire.end(), /HTTP\/1\.1 200 OK[^]*POST \/p ab$/);
  assert.deepEqual(headersOf(front.ordered[0]?.request, 'expect'), []);
});

void test('a request that expects something else, or names no host, is refused in words', async () => {
  await using front = await startFront(NOTHING);
  const expecting = await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}Expect: else\r\n\r\n`);
  assert.equal(statusOf(expecting), 417);
  assert.match(bodyOf(expecting), /but 100-continue\.\n$/);
  const nameless = await exchange(front.port, 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n');
  assert.equal(statusOf(nameless), 400);
  assert.match(bodyOf(nameless), /names no host/);
  assert.equal(front.ordered.length, 0);
});

void test('a pipelined request is asked for its body when it is its turn, and not if it is refused by then', async () => {
  await using front = await startFront(() => 'wait');
  const answer = (): void => front.ordered.at(-1)?.done(replyVerdict({ body: Buffer.from('<done>') }));
  using wire = new Wire(front.port);
  const expecting = 'POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n';
  wire.send(`GET / HTTP/1.1\r\nHost: x\r\n\r\n${expecting}Content-Length: 2\r\n\r\n`);
  await front.reached(1);
  answer();
  await wire.until(/<done>HTTP\/1\.1 100 Continue\r\n\r\n$/);
  // The other one sends its body unasked, as a client does that has waited for a while.
  wire.send(`ab${expecting}Transfer-Encoding: chunked\r\n\r\nfffff\r\n${'x'.repeat(0xfffff)}\r\n0\r\n\r\n`);
  await front.reached(2);
  // For as long as it takes to come.
  await delay(100);
  answer();
  await wire.until(/larger than/);
  const [, , ...rest] = wire.received.match(/HTTP\/1\.1 \d+|<done>|larger/g) ?? [];
  assert.deepEqual(rest, ['HTTP/1.1 100', 'HTTP/1.1 200', '<done>', 'HTTP/1.1 413', 'larger']);
});

void test('the reply to HEAD has no body, and tells the length that the service told', async () => {
  await using front = await startFront(() => ({ headers: ['content-length', '1234'] }));
  const reply = await exchange(front.port, `HEAD / HTTP/1.1\r\n${CLOSE}\r\n`);
  assert.deepEqual(valuesOf(reply, 'content-length'), ['1234']);
  assert.equal(bodyOf(reply), '');
});

for (const status of [204, 304]) {
  void test(`a ${status} has neither body nor length, and the connection goes on`, async () => {
    await using front = await startFront(({ target }) =>
      target === '/' ? { status } : { body: Buffer.from('next') },
    );
    const reply = await exchange(
      front.port,
      `GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /n HTTP/1.1\r\n${CLOSE}\r\n`,
    );
    const [first = '', ...rest] = reply.split(/(?=HTTP\/1\.1 )/);
    assert.equal(statusOf(first), status);
    assert.deepEqual(valuesOf(first, '(?:content-length|transfer-encoding)'), []);
    assert.equal(bodyOf(first), '');
    assert.equal(bodyOf(rest.join('')), 'next');
  });
}

void test('hop-by-hop headers do not reach the service, also those that Connection names', async () => {
  await using front = await startFront(echo);
  await exchange(
    front.port,
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Mine\r\nKeep-Alive: 5\r\nTE: trailers\r\nX-Mine: 1\r\nX-Yours: 2\r\n\r\n',
  );
  const names = front.ordered[0]?.request.headers.filter((_, i) => i % 2 === 0).map((n) => n.toLowerCase());
  assert.deepEqual(names, ['host', 'x-yours', 'x-forwarded-for']);
});

void test('an upgrade that a client may do without is not made, and the request is answered', async () => {
  await using front = await startFront(echo);
  for (const offer of ['h2c', 'TLS/1.2', 'h2,h2c']) {
    const head = `POST /p HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: ${offer}\r\n`;
    assert.equal(bodyOf(await exchange(front.port, `${head}Content-Length: 2\r\n\r\nab`)), 'POST /p ab');
    assert.deepEqual(headersOf(front.ordered.at(-1)?.request, 'upgrade'), []);
  }
});

void test('the service sees the host that was asked for and the address of the client', async () => {
  await using front = await startFront(echo);
  await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}X-Forwarded-For: 9.9.9.9\r\n\r\n`);
  await exchange(front.port, 'GET / HTTP/1.0\r\n\r\n');
  const [first, old] = front.ordered.map(({ request }) => request);
  assert.deepEqual(headersOf(first, 'host'), ['spare.test']);
  assert.deepEqual(headersOf(first, 'x-forwarded-for'), ['9.9.9.9, 127.0.0.1']);
  assert.deepEqual(headersOf(old, 'host'), [`127.0.0.1:${front.port}`]);
});

void test('the absolute form means path and query, and its host goes first', async () => {
  await using front = await startFront(echo);
  for (const target of ['http://other.test/p?q', 'http://other.test?q', 'HTTP://other.test'])
    await exchange(front.port, `GET ${target} HTTP/1.1\r\n${CLOSE}\r\n`);
  assert.deepEqual(
    front.ordered.map(({ request }) => [request.target, headersOf(request, 'host')]),
    ['/p?q', '/?q', '/'].map((target) => [target, ['other.test']]),
  );
});

void test('an absolute form that names no host, or a user, is refused', async () => {
  await using front = await startFront(echo);
  for (const target of [
    'http:///p',
    'http://',
    'http://:80/p',
    'http://?q',
    'http://u:p@other.test/p',
    'https://@/',
  ])
    assert.equal(statusOf(await exchange(front.port, `GET ${target} HTTP/1.1\r\n${CLOSE}\r\n`)), 400, target);
  assert.equal(front.ordered.length, 0);
  await exchange(front.port, `GET http://other.test/@ HTTP/1.1\r\n${CLOSE}\r\n`);
  assert.equal(front.ordered[0]?.request.target, '/@');
});

void test('a target of another scheme than that of the service is refused', async () => {
  await using front = await startFront(echo);
  for (const target of ['ftp://other.test/p', 'ws://other.test/p', 'http:/p', 'httpx://other.test/'])
    assert.equal(statusOf(await exchange(front.port, `GET ${target} HTTP/1.1\r\n${CLOSE}\r\n`)), 400, target);
  assert.equal(front.ordered.length, 0);
});

void test('a Host that is more than a host and a port is refused', async () => {
  await using front = await startFront(echo);
  for (const host of ['u:p@other.test', 'other.test/p', 'other.test?q', 'a b'])
    assert.equal(statusOf(await exchange(front.port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)), 400, host);
  assert.equal(front.ordered.length, 0);
});

void test('where no host is named, the address asked is it, in brackets if it is one of IPv6', () => {
  const hostAt = (localAddress: string): string => {
    const request = { url: '/', headers: {}, socket: { localAddress, localPort: 8080 } };
    return targetOf(request as unknown as IncomingMessage).host;
  };
  assert.equal(hostAt('::1'), '[::1]:8080');
  assert.equal(hostAt('127.0.0.1'), '127.0.0.1:8080');
});

void test('P1: what f+1 agreed on and is no HTTP does not reach the client', async () => {
  for (const headers of [
    ['x-a', 'b\r\n\r\nHTTP/1.1 200 OK\r\nx-owned: yes'],
    ['x-a\r\nx-owned', 'yes'],
    ['transfer-encoding', 'chunked'],
  ]) {
    await using front = await startFront(() => ({ headers }));
    const reply = await fetch(`http://127.0.0.1:${front.port}/`);
    assert.equal(reply.status, 502);
    assert.equal(reply.headers.get('x-owned'), null);
    assert.match(await reply.text(), /not valid HTTP/);
  }
});

void test('several Set-Cookie headers stay several', async () => {
  const headers = ['Set-Cookie', 'a=1', 'X-Other', 'o', 'Set-Cookie', 'b=2'];
  await using front = await startFront(() => ({ headers }));
  const reply = await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}\r\n`);
  assert.deepEqual(valuesOf(reply, 'set-cookie'), ['a=1', 'b=2']);
});

void test('there is one Date, the agreed time; errors have one, too', async () => {
  await using front = await startFront(({ target }) =>
    target === '/' ? { status: 200 } : { type: 'skipped', reason: 'poison', hint: '' },
  );
  const good = await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}\r\n`);
  assert.deepEqual(valuesOf(good, 'date'), ['Fri, 02 Jan 2026 03:04:05 GMT']);
  const bad = await exchange(front.port, `GET /bad HTTP/1.1\r\n${CLOSE}\r\n`);
  assert.equal(valuesOf(bad, 'date').length, 1);
});

void test('header values above ASCII pass both ways unchanged', async () => {
  await using front = await startFront(({ headers }) => ({
    headers: ['X-Back', headers[headers.indexOf('X-There') + 1] ?? ''],
  }));
  const reply = await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}X-There: \xe9\xff\t\x80\r\n\r\n`);
  assert.deepEqual(valuesOf(reply, 'x-back'), ['\xe9\xff\t\x80']);
});

void test('a body passes both ways byte by byte', async () => {
  await using front = await startFront(({ body }) => ({ body }));
  const body = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const head = Buffer.from(`POST / HTTP/1.1\r\n${CLOSE}Content-Length: 256\r\n\r\n`);
  const reply = await exchange(front.port, Buffer.concat([head, body]));
  assert.equal(bodyOf(reply), body.toString('latin1'));
  assert.deepEqual(valuesOf(reply, 'content-length'), ['256']);
});

void test('a body that comes byte by byte reaches the service whole', async () => {
  await using front = await startFront(({ body }) => ({ body }));
  const body = Array.from({ length: 3000 }, (_, i) => String(i % 10)).join('');
  const chunks = body.replace(/./g, '1\r\n$&\r\n');
  const head = `POST / HTTP/1.1\r\n${CLOSE}Transfer-Encoding: chunked\r\n\r\n`;
  assert.equal(bodyOf(await exchange(front.port, `${head}${chunks}0\r\n\r\n`)), body);
});

const KEYED = `POST /p HTTP/1.1\r\n${CLOSE}Content-Length: 1\r\n`;

async function keyOf(text: string): Promise<{ status: number; fingerprint: string | null }> {
  await using front = await startFront(echo);
  const reply = await exchange(front.port, text);
  return { status: statusOf(reply), fingerprint: front.ordered[0]?.key?.fingerprint ?? null };
}

void test('an Idempotency-Key names a request by method, target, body, authorization and cookies', async () => {
  const plain = await keyOf(`${KEYED}Idempotency-Key: k\r\n\r\nx`);
  assert.notEqual(plain.fingerprint, null);
  assert.deepEqual(await keyOf(`${KEYED}X-Trace: 5\r\nIdempotency-Key: k\r\n\r\nx`), plain);
  const others = await Promise.all([
    keyOf(`${KEYED.replace('POST', 'PUT')}Idempotency-Key: k\r\n\r\nx`),
    keyOf(`${KEYED.replace('/p', '/q')}Idempotency-Key: k\r\n\r\nx`),
    keyOf(`${KEYED}Idempotency-Key: k\r\n\r\ny`),
    keyOf(`${KEYED}Authorization: me\r\nIdempotency-Key: k\r\n\r\nx`),
    keyOf(`${KEYED}Cookie: me\r\nIdempotency-Key: k\r\n\r\nx`),
    keyOf(`${KEYED}Cookie: you\r\nIdempotency-Key: k\r\n\r\nx`),
  ]);
  assert.equal(new Set([plain, ...others].map(({ fingerprint }) => fingerprint)).size, 7);
});

void test('an Idempotency-Key that is not usable gets 400; reads need none', async () => {
  for (const key of ['', 'x'.repeat(256), 'caf\xe9'])
    assert.deepEqual(await keyOf(`${KEYED}Idempotency-Key: ${key}\r\n\r\nx`), {
      status: 400,
      fingerprint: null,
    });
  const longest = await keyOf(`${KEYED}Idempotency-Key: ${'x'.repeat(255)}\r\n\r\nx`);
  assert.equal(longest.status, 200);
  const read = await keyOf(`GET / HTTP/1.1\r\n${CLOSE}Idempotency-Key: k\r\n\r\n`);
  assert.deepEqual(read, { status: 200, fingerprint: null });
});

void test('an Idempotency-Key used for something else gets 422', async () => {
  await using front = await startFront(() => ({ type: 'key-reused' }));
  assert.equal(statusOf(await exchange(front.port, `${KEYED}Idempotency-Key: k\r\n\r\nx`)), 422);
});

void test('an Idempotency-Key whose reply is not kept any more gets 502, which says that nothing was executed', async () => {
  await using front = await startFront(() => ({ type: 'forgotten' }));
  const reply = await exchange(front.port, `${KEYED}Idempotency-Key: k\r\n\r\nx`);
  assert.equal(statusOf(reply), 502);
  assert.match(reply, /not executed again/);
});
