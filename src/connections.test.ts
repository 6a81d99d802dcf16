/** Can clients that hold on to their connections shut others out? */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { limitConnections } from './connections.ts';

const REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
/** More than the system takes for a client that does not read. */
const LARGE = Buffer.alloc(16 * 1024 ** 2);

interface Limited extends AsyncDisposable {
  /** To all requests, in the order in which they came. */
  readonly responses: readonly ServerResponse[];
  /** A connection that sends `text`, of which nothing is read yet; resolves once so many requests of it came. */
  readonly open: (text: string, requests: number) => Promise<Socket>;
}

async function limited(most: number): Promise<Limited> {
  const server = createServer();
  const responses: ServerResponse[] = [];
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    request.resume();
    responses.push(response);
  });
  limitConnections(server, most);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const open = async (text: string, requests: number): Promise<Socket> => {
    const wanted = responses.length + requests;
    const socket = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1').pause();
    socket.on('error', () => {});
    await once(server, 'connection');
    if (text !== '') socket.write(text);
    while (responses.length < wanted) await once(server, 'request');
    return socket;
  };
  const end = async (): Promise<void> => {
    server.closeAllConnections();
    await server[Symbol.asyncDispose]();
  };
  return { responses, open, [Symbol.asyncDispose]: end };
}

async function read(socket: Socket): Promise<string> {
  return String((await once(socket.resume(), 'data'))[0]);
}

void test('P7: a connection more than may be takes the place of one that has had nothing in work for longest', async () => {
  await using server = await limited(4);
  const { open, responses } = server;
  const inWork = await open(REQUEST, 1);
  const unfinished = await open(REQUEST.slice(0, -2), 0);
  const unread = await open(REQUEST, 1);
  responses[1]?.end(LARGE);
  await open('', 0);
  for (const cut of [unfinished, unread]) {
    const closed = once(cut.resume(), 'close');
    const asks = await open(REQUEST, 1);
    await closed;
    responses.at(-1)?.end('answered');
    assert.match(await read(asks), /answered/);
  }
  responses[0]?.end('at last');
  assert.match(await read(inWork), /at last/);
});

void test('P7: what waits behind a reply that is not taken keeps nobody out', async () => {
  await using server = await limited(2);
  const { open, responses } = server;
  const unread = await open(REQUEST + REQUEST, 2);
  responses[0]?.end(LARGE);
  const inWork = await open(REQUEST, 1);
  const closed = once(unread, 'close');
  const asks = await open(REQUEST, 1);
  unread.resume();
  await closed;
  for (const response of responses.slice(2)) response.end('answered');
  for (const socket of [inWork, asks]) assert.match(await read(socket), /answered/);
});

void test('P5: a request in work is answered, though one behind it is refused already', async () => {
  await using server = await limited(2);
  const { open, responses } = server;
  const inWork = await open(REQUEST + REQUEST, 2);
  responses[1]?.end('refused');
  await open('', 0);
  await open(REQUEST, 1);
  responses[0]?.end('answered');
  assert.match(await read(inWork), /answered/);
});
