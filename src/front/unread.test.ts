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

void test('a connection that takes nothing for a minute is cut off, and not before', async (t) => {
  await using server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const client = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1').pause();
  using stack = new DisposableStack();
  stack.defer(() => client.destroy());
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
  const { socket } = response.req;
  t.mock.timers.enable({ apis: ['setTimeout'] });
  new Unread(2 * LARGE.length).end(response, LARGE, LARGE.length);
  client.once('data', () => client.pause());
  client.resume();
  await once(client, 'pause');
  t.mock.timers.tick(59_000);
  assert.equal(socket.destroyed, false);
  t.mock.timers.tick(61_000);
  assert.equal(socket.destroyed, true);
});
