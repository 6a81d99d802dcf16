/** Does who sends no HTTP learn of it, and who asked before that get the own reply? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CLOSE,
  exchange,
  FLOOD,
  HOST,
  NOTHING,
  replyVerdict,
  startFront,
  statusOf,
  Wire,
} from './testing.ts';

/** And the status that it gets. */
const UNREADABLE: Record<string, [text: string, status: number]> = {
  'no request': ['GARB AGE\r\n\r\n', 400],
  'a header that is too large': [`GET /b HTTP/1.1\r\n${HOST}X: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  'a tunnel': [`CONNECT a.test:80 HTTP/1.1\r\n${HOST}\r\n`, 501],
  'a broken body': [`POST /b HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n`, 400],
};

for (const [what, [text, status]] of Object.entries(UNREADABLE)) {
  void test(`P1: a request gets its own reply, and what comes behind it its error after that: ${what}`, async () => {
    await using front = await startFront(() => 'wait');
    using wire = new Wire(front.port);
    wire.send(`GET /a HTTP/1.1\r\n${HOST}\r\n${text}`);
    await front.reached(1);
    wire.send(FLOOD);
    front.ordered[0]?.done(replyVerdict({ body: Buffer.from('served') }));
    const [served = '', refused = '', ...rest] = (await wire.end()).split(/(?=HTTP\/1\.1 )/);
    assert.equal(statusOf(served), 200);
    assert.match(served, /served$/);
    assert.equal(statusOf(refused), status);
    assert.match(refused, /Connection: close/);
    assert.deepEqual(rest, []);
    assert.equal(front.ordered.length, 1);
  });
}

void test('headers too large get 431, which a client that sends on can read', async () => {
  await using front = await startFront(NOTHING);
  using wire = new Wire(front.port);
  wire.send(`GET / HTTP/1.1\r\n${HOST}X: `).send(FLOOD);
  assert.equal(statusOf(await wire.end()), 431);
  assert.equal(wire.error, null);
});

void test('a tunnel that is reset, or left open, is closed and harms nobody', async () => {
  await using front = await startFront(NOTHING);
  using reset = new Wire(front.port);
  reset.send(`CONNECT a.test:80 HTTP/1.1\r\n${HOST}\r\n`);
  await reset.until(/501/);
  reset.socket.resetAndDestroy();
  using idle = new Wire(front.port);
  idle.socket.allowHalfOpen = true;
  idle.send(`CONNECT a.test:80 HTTP/1.1\r\n${HOST}\r\n`);
  await idle.until(/501/);
  await front.left(0);
  assert.equal(statusOf(await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}\r\n`)), 200);
});
