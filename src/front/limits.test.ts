/** Is what clients have the front door hold bounded, and is who is refused for that told so? */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { HEADERS_MAX } from '../wire/http.ts';
import {
  bodyOf,
  CLOSE,
  exchange,
  FLOOD,
  type Front,
  HOST,
  NOTHING,
  replyVerdict,
  startFront,
  statusOf,
  valuesOf,
  Wire,
} from './testing.ts';

const LIMIT = 64 * 1024;

void test('a body declared too large gets 413, which a client that sends on can read', async () => {
  await using front = await startFront(NOTHING);
  using wire = new Wire(front.port);
  wire.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: ${FLOOD.length}\r\n\r\n`).send(FLOOD);
  const reply = await wire.end();
  assert.equal(statusOf(reply), 413);
  assert.match(bodyOf(reply), /larger than the limit of 65536 bytes/);
  assert.equal(wire.error, null);
  assert.equal(front.ordered.length, 0);
});

void test('a chunked body that grows too large gets 413, which a client that sends on can read', async () => {
  await using front = await startFront(NOTHING);
  using wire = new Wire(front.port);
  wire.send(`POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`);
  wire
    .send(`${FLOOD.length.toString(16)}\r\n`)
    .send(FLOOD)
    .send('\r\n0\r\n\r\n');
  assert.equal(statusOf(await wire.end()), 413);
  assert.equal(wire.error, null);
  assert.equal(front.ordered.length, 0);
});

void test('a client that never stops sending is cut off', async () => {
  await using front = await startFront(NOTHING);
  using wire = new Wire(front.port);
  wire.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: ${LIMIT + 1}\r\n\r\n`);
  assert.equal(statusOf(await wire.until(/limit/)), 413);
  await wire.end();
});

void test('a body declared too large is refused instead of asked for', async () => {
  await using front = await startFront(NOTHING);
  const head = `POST / HTTP/1.1\r\n${CLOSE}Expect: 100-continue\r\nContent-Length: ${LIMIT + 1}\r\n\r\n`;
  using wire = new Wire(front.port);
  assert.match(await wire.send(head).until(/limit/), /^HTTP\/1\.1 413 /);
});

void test('a body of exactly the limit passes', async () => {
  await using front = await startFront(NOTHING);
  const head = `POST / HTTP/1.1\r\n${CLOSE}Content-Length: ${LIMIT}\r\n\r\n`;
  assert.equal(statusOf(await exchange(front.port, head + 'x'.repeat(LIMIT))), 200);
  assert.equal(front.ordered[0]?.request.body.length, LIMIT);
});

void test('bodies that are held back are bounded: who began first gets 503, and who sends on is served', async () => {
  const admission = { inFlight: 8, inFlightBytes: 2 * LIMIT, waiting: 8, waitingBytes: 2 * LIMIT };
  await using front = await startFront(NOTHING, { admission });
  using stack = new DisposableStack();
  const head = `POST / HTTP/1.1\r\n${CLOSE}Content-Length: ${LIMIT}\r\n\r\n`;
  const slow: Wire[] = [];
  for (let i = 0; i < 8; i++) {
    const wire = stack.use(new Wire(front.port));
    slow.push(wire.send(head + 'x'.repeat(LIMIT - 1)));
    // Each before the next one: it tells that this one came.
    assert.equal(statusOf(await exchange(front.port, head + 'x'.repeat(LIMIT))), 200);
  }
  const refused = await Promise.all(slow.slice(0, 4).map((wire) => wire.end()));
  assert.deepEqual(refused.map(statusOf), [503, 503, 503, 503]);
  assert.deepEqual(valuesOf(refused[0] ?? '', 'retry-after'), ['1']);
  assert.match(bodyOf(refused[0] ?? ''), /coming for longest/);
  const last = slow.slice(-2).map((wire) => wire.send('x').end());
  assert.deepEqual((await Promise.all(last)).map(statusOf), [200, 200]);
});

void test('bodies that came, and those of clients that left, take no room', async () => {
  const admission = { inFlight: 8, inFlightBytes: LIMIT, waiting: 8, waitingBytes: LIMIT };
  await using front = await startFront(NOTHING, { admission });
  const head = `POST / HTTP/1.1\r\n${HOST}Content-Length: ${LIMIT}\r\n\r\n`;
  using first = new Wire(front.port);
  first.send(`${head}x`);
  await delay(20);
  for (let i = 0; i < 4; i++) {
    assert.equal(statusOf(await exchange(front.port, head.replace(HOST, CLOSE) + 'x'.repeat(LIMIT))), 200);
    using leaves = new Wire(front.port);
    leaves.send(head + 'x'.repeat(LIMIT - 1));
    await delay(20);
    leaves.socket.destroy();
    await front.left(1);
  }
  first.send('x'.repeat(LIMIT - 1));
  assert.equal(statusOf(await first.until(/\r\n\r\n/)), 200);
});

void test('a body that was refused as too large takes no room, and is not refused once more when there is none', async () => {
  const admission = { inFlight: 8, inFlightBytes: LIMIT, waiting: 8, waitingBytes: LIMIT };
  await using front = await startFront(NOTHING, { admission });
  using large = new Wire(front.port);
  large.send(
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nffff\r\n${'x'.repeat(LIMIT - 1)}\r\n`,
  );
  large.send('ffff\r\nxx');
  assert.equal(statusOf(await large.until(/limit/)), 413);
  using stack = new DisposableStack();
  const head = `POST / HTTP/1.1\r\n${CLOSE}Content-Length: ${LIMIT}\r\n\r\n`;
  const wires: Wire[] = [];
  for (let i = 0; i < 3; i++) {
    wires.push(stack.use(new Wire(front.port)).send(head + 'x'.repeat(LIMIT - 1)));
    // Each before the next one.
    assert.equal(statusOf(await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}Host:\r\n\r\n`)), 400);
  }
  assert.equal(statusOf((await wires[0]?.end()) ?? ''), 503);
  assert.equal(large.received.match(/HTTP\/1\.1/g)?.length, 1);
});

/**
 * On each of some connections a request that is not answered, and as much of `behind` it as is read. One after another: what another
 * connection sends later comes later.
 */
async function holdBehind(front: Front, stack: DisposableStack, behind: string): Promise<Wire[]> {
  const before = front.ordered.length;
  const wires: Wire[] = [];
  for (let i = 1; i <= 8; i++) {
    const wire = stack.use(new Wire(front.port));
    wires.push(wire.send(`GET / HTTP/1.1\r\n${HOST}\r\n`));
    await front.reached(before + i);
    wire.send(behind);
    assert.equal(statusOf(await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}Host:\r\n\r\n`)), 400);
  }
  return wires;
}

for (const [what, refused] of [
  ['is refused', 'Host:\r\n'],
  ['names no host', ''],
  ['expects what nobody does', `${HOST}Expect: else\r\n`],
] as const) {
  void test(`P7: what waits behind a request that is not answered is bounded, and who has waited for longest is cut off: it ${what}`, async () => {
    await using front = await startFront(() => 'wait');
    using stack = new DisposableStack();
    // As many as the system takes in one piece; of a connection that is read no more, the rest stays there.
    const wires = await holdBehind(front, stack, `GET / HTTP/1.1\r\n${refused}\r\n`.repeat(2500));
    assert.equal(await wires[0]?.end(), '');
    for (const { done } of front.ordered) done(replyVerdict({ body: Buffer.from('served') }));
    assert.match((await wires.at(-1)?.until(/served/)) ?? '', /^HTTP\/1\.1 200 /);
  });
}

void test('headers too large or too many get 431, and as many as a replica takes pass', async () => {
  await using front = await startFront(NOTHING);
  const ask = async (headers: string): Promise<number> =>
    statusOf(await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}${headers}\r\n`));
  assert.equal(await ask(`X-Large: ${'x'.repeat(17 * 1024)}\r\n`), 431);
  const most = HEADERS_MAX / 2 - 4;
  assert.equal(await ask('a: b\r\n'.repeat(most + 1)), 431);
  assert.equal(front.ordered.length, 0);
  assert.equal(await ask('a: b\r\n'.repeat(most)), 200);
});

void test('a client that leaves before its request is whole leaves no trace', async () => {
  await using front = await startFront(NOTHING);
  for (const framing of [
    'Content-Length: 10\r\n\r\nhalf',
    'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
  ]) {
    using polite = new Wire(front.port);
    polite.send(`POST / HTTP/1.1\r\n${HOST}${framing}`).socket.end();
    await polite.end();
    using rude = new Wire(front.port);
    rude.send(`POST / HTTP/1.1\r\n${HOST}${framing}`);
    await delay(10);
    rude.socket.resetAndDestroy();
  }
  assert.equal(statusOf(await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}\r\n`)), 200);
  assert.equal(front.ordered.length, 1);
});

void test('the reply to a client that left meanwhile is dropped', async () => {
  await using front = await startFront(({ target }) => (target === '/' ? 'wait' : { status: 200 }));
  using wire = new Wire(front.port);
  wire.send(`GET / HTTP/1.1\r\n${HOST}\r\n`);
  await front.reached(1);
  wire.socket.resetAndDestroy();
  await delay(10);
  front.ordered[0]?.done(replyVerdict({ body: FLOOD }));
  assert.equal(statusOf(await exchange(front.port, `GET /n HTTP/1.1\r\n${CLOSE}\r\n`)), 200);
});

void test('beyond the bounded queue clients get 503 and when to come again; who leaves makes room', async () => {
  const admission = { inFlight: 1, inFlightBytes: 1e6, waiting: 1, waitingBytes: 1e6 };
  await using front = await startFront(() => 'wait', { admission });
  const ask = (target: string): string => `GET ${target} HTTP/1.1\r\n${CLOSE}\r\n`;
  using running = new Wire(front.port);
  running.send(ask('/running'));
  await front.reached(1);
  using waiting = new Wire(front.port);
  waiting.send(ask('/waiting'));
  await front.asked('/waiting');
  const refused = await exchange(front.port, ask('/refused'));
  assert.equal(statusOf(refused), 503);
  assert.deepEqual(valuesOf(refused, 'retry-after'), ['1']);
  waiting.socket.destroy();
  await front.left(1);
  using next = new Wire(front.port);
  next.send(ask('/next'));
  await front.asked('/next');
  front.ordered[0]?.done(replyVerdict({}));
  await front.reached(2);
  front.ordered[1]?.done(replyVerdict({}));
  assert.equal(statusOf(await next.end()), 200);
  assert.equal(front.ordered.length, 2);
});

void test('P7: who sends many requests ahead on a connection fills no queue, and keeps nobody out', async () => {
  const admission = { inFlight: 1, inFlightBytes: 1e6, waiting: 2, waitingBytes: 1e6 };
  await using front = await startFront(() => 'wait', { admission });
  using greedy = new Wire(front.port);
  greedy.send(`GET /greedy HTTP/1.1\r\n${HOST}\r\n`.repeat(100));
  await front.reached(1);
  using other = new Wire(front.port);
  other.send(`GET /other HTTP/1.1\r\n${CLOSE}\r\n`);
  await front.asked('/other');
  for (let i = 0; i < 3; i++) {
    await front.reached(i + 1);
    front.ordered[i]?.done(replyVerdict({}));
  }
  assert.equal(statusOf(await other.end()), 200);
  assert.equal(front.ordered[1]?.request.target, '/other');
});

void test('P7: bodies of requests that wait behind others are bounded, too', async () => {
  await using front = await startFront(() => 'wait');
  using stack = new DisposableStack();
  const large = `POST / HTTP/1.1\r\n${HOST}Content-Length: ${LIMIT}\r\n\r\n${'x'.repeat(LIMIT)}`;
  const wires = await holdBehind(front, stack, large.repeat(80));
  assert.equal(await wires[0]?.end(), '');
});

void test('P7: such a body counts with all that it takes, which is more than it has bytes where it came in pieces', async () => {
  await using front = await startFront(() => 'wait');
  using stack = new DisposableStack();
  const body = `8000\r\n${'x'.repeat(0x8000)}\r\n1\r\nx\r\n0\r\n\r\n`;
  const pieces = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${body}`;
  const wires = await holdBehind(front, stack, pieces.repeat(100));
  assert.equal(await wires[0]?.end(), '');
});

const MANY_HEADERS = `GET / HTTP/1.1\r\n${HOST}${'a: b\r\n'.repeat(HEADERS_MAX / 2 - 4)}\r\n`.repeat(200);

void test('P7: headers of requests that wait behind others are bounded, too, with what it takes to hold each of them', async () => {
  await using front = await startFront(() => 'wait');
  using stack = new DisposableStack();
  const wires = await holdBehind(front, stack, MANY_HEADERS);
  assert.equal(await wires[0]?.end(), '');
  front.ordered.at(-1)?.done(replyVerdict({ body: Buffer.from('served') }));
  assert.match((await wires.at(-1)?.until(/served/)) ?? '', /^HTTP\/1\.1 200 /);
});

void test('P7: who has waited behind another request and is in work now is not cut off for those that wait', async () => {
  const admission = { inFlight: 16, inFlightBytes: 1e6, waiting: 1, waitingBytes: 1e6 };
  await using front = await startFront(() => 'wait', { admission });
  using stack = new DisposableStack();
  using wire = new Wire(front.port);
  wire.send(`GET / HTTP/1.1\r\n${HOST}\r\nGET / HTTP/1.1\r\n${CLOSE}\r\n`);
  await front.reached(1);
  front.ordered[0]?.done(replyVerdict({}));
  await front.reached(2);
  const wires = await holdBehind(front, stack, MANY_HEADERS);
  assert.equal(await wires[0]?.end(), '');
  front.ordered[1]?.done(replyVerdict({ body: Buffer.from('served') }));
  assert.match(await wire.end(), /served$/);
});

/** Asks for `FLOOD`, and reads nothing of it yet. */
async function askAndPause(front: Front): Promise<Wire> {
  const wire = new Wire(front.port);
  const before = front.ordered.length;
  wire.send(`GET /${before} HTTP/1.1\r\n${CLOSE}\r\n`).socket.pause();
  await front.reached(before + 1);
  return wire;
}

void test('replies that are not read are bounded: who reads on gets all, who has read nothing for longest is cut off', async () => {
  const verdict = replyVerdict({ body: FLOOD });
  await using front = await startFront(() => 'wait', { unreadBytesMax: 2.5 * FLOOD.length });
  using reading = await askAndPause(front);
  using first = await askAndPause(front);
  using second = await askAndPause(front);
  front.ordered[0]?.done(verdict);
  front.ordered[1]?.done(verdict);
  const pauseHalfway = (): void => {
    if (reading.received.length >= FLOOD.length / 2) reading.socket.off('data', pauseHalfway).pause();
  };
  // Not at a look later: it may have read all by then.
  reading.socket.on('data', pauseHalfway).resume();
  await once(reading.socket, 'pause');
  // What is under way between the two.
  await delay(100);
  front.ordered[2]?.done(verdict);
  first.socket.resume();
  assert.ok((await first.end()).length < FLOOD.length);
  for (const wire of [reading, second]) {
    wire.socket.resume();
    assert.equal(bodyOf(await wire.end()).length, FLOOD.length);
  }
});

void test('replies that were read, and those of clients that left, take no room', async () => {
  await using front = await startFront(() => ({ body: FLOOD }), { unreadBytesMax: 3.5 * FLOOD.length });
  using slow = await askAndPause(front);
  for (let i = 0; i < 4; i++) {
    const reply = await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}\r\n`);
    assert.equal(bodyOf(reply).length, FLOOD.length);
    const leaves = await askAndPause(front);
    leaves.socket.resetAndDestroy();
    await delay(20);
  }
  slow.socket.resume();
  assert.equal(bodyOf(await slow.end()).length, FLOOD.length);
});

void test('while the service starts clients get 503', async () => {
  await using front = await startFront(NOTHING);
  front.ready = false;
  const reply = await exchange(front.port, `GET / HTTP/1.1\r\n${CLOSE}\r\n`);
  assert.equal(statusOf(reply), 503);
  assert.deepEqual(valuesOf(reply, 'retry-after'), ['1']);
});
