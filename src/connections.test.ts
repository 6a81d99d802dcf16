/** Can clients that hold on to their connections shut others out? */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { limitConnections } from './connections.ts';

const MOST = 4;
const REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
/** More than the system takes for a client that does not read. */
const LARGE = Buffer.alloc(16 * 1024 ** 2);

void test('P7: a connection more than may be takes the place of one that has had nothing in work for longest', async () => {
  await using server = createServer();
  const responses: ServerResponse[] = [];
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    request.resume();
    responses.push(response);
  });
  limitConnections(server, MOST);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const open = async (text: string): Promise<Socket> => {
    const socket = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1').pause();
    socket.on('error', () => {});
    await once(server, 'connection');
    if (text !== '') socket.write(text);
    if (text === REQUEST) await once(server, 'request');
    return socket;
  };
  const inWork = await open(REQUEST);
  const unfinished = await open(REQUEST.slice(0, -2));
  const unread = await open(REQUEST);
  responses[1]?.end(LARGE);
  await open('');
  for (const cut of [unfinished, unread]) {
    const closed = once(cut.resume(), 'close');
    const asks = await open(REQUEST);
    await closed;
    responses.at(-1)?.end('answered');
    assert.match(String((await once(asks.resume(), 'data'))[0]), /answered/);
  }
  responses[0]?.end('at last');
  assert.match(String((await once(inWork.resume(), 'data'))[0]), /at last/);
  server.closeAllConnections();
});
