import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Unread } from './unread.ts';

/** Far more than the system takes. */
const LARGE = Buffer.alloc(16 * 1024 ** 2);

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
