import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Unread } from './unread.ts';

/** Far more than the system takes. */
const LARGE = Buffer.alloc(16 * 1024 ** 2);

void test('P7: a reply that waits to be taken keeps nothing else of what it came with', async () => {
  await using server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const client = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1');
  const unread = new Unread(LARGE.length);
  const waiting: ServerResponse[] = [];
  server.on('request', (_, response: ServerResponse) => {
    if (waiting.push(response) < 2) return;
    const frame = Buffer.alloc(LARGE.length, 'a');
    unread.end(response, frame.subarray(0, 3), 3);
    frame.fill('b');
    waiting[0]?.end('first');
  });
  client.end('GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const replies = Buffer.concat((await client.toArray()) as Buffer[]).toString();
  assert.match(replies, /first[^]*aaa/);
});

void test('a connection that takes nothing for a minute is cut off; one whose turn has not come is not', async (t) => {
  await using server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const client = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1').pause();
  using stack = new DisposableStack();
  stack.defer(() => client.destroy());
  const responses: ServerResponse[] = [];
  client.write('GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n');
  server.on('request', (_, response: ServerResponse) => responses.push(response));
  await once(server, 'request');
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const unread = new Unread(3 * LARGE.length);
  const [first, second] = responses;
  assert.ok(first !== undefined && second !== undefined);
  unread.end(second, LARGE, LARGE.length);
  t.mock.timers.tick(200_000);
  assert.equal(second.req.socket.destroyed, false);
  unread.end(first, LARGE, LARGE.length);
  client.once('data', () => client.pause());
  client.resume();
  await once(client, 'pause');
  t.mock.timers.tick(59_000);
  assert.equal(first.req.socket.destroyed, false);
  t.mock.timers.tick(61_000);
  assert.equal(first.req.socket.destroyed, true);
});
