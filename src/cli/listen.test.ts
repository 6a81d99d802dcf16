/** Are requests in work answered before a server ends, and does it end all the same when they are not? */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { addressUrl, bind, endsGently } from './listen.ts';

const NEVER = new AbortController().signal;

interface Door {
  readonly url: string;
  readonly end: (atOnce: AbortSignal) => Promise<void>;
  /** Sends a request, and resolves once the server has it. */
  readonly ask: () => Promise<{ response: ServerResponse; reply: Promise<string> }>;
}

/** A server that answers when the test does, and whose patience ends when the test says so. */
async function door(context: TestContext, patience: AbortSignal): Promise<Door> {
  context.mock.method(AbortSignal, 'timeout', () => patience);
  const server = createServer();
  const end = endsGently(server);
  const address = await bind(server, 'listen', { host: '127.0.0.1', port: 0 });
  return {
    url: addressUrl(address),
    end,
    ask: async () => {
      const socket = connect(address.port, address.host);
      const reply = socket.toArray().then((pieces) => Buffer.concat(pieces as Buffer[]).toString());
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
      return { response, reply };
    },
  };
}

void test('requests in work are answered, whatever it takes, their connections end, and nobody gets in any more', async (context) => {
  const { url, end, ask } = await door(context, NEVER);
  const first = await ask();
  const second = await ask();
  const ended = end(NEVER);
  first.response.end('one');
  assert.match(await first.reply, /^HTTP\/1\.1 200 [^]*Connection: close\r\n[^]*one/);
  await assert.rejects(fetch(url));
  second.response.end('two');
  assert.match(await second.reply, /two/);
  await ended;
});

void test('who does not want to wait, and whose patience is over, cuts off those that are not answered', async (context) => {
  for (const [patience, atOnce] of [
    [NEVER, AbortSignal.abort()],
    [AbortSignal.abort(), NEVER],
  ] as const) {
    const { end, ask } = await door(context, patience);
    const { reply } = await ask();
    await end(atOnce);
    assert.equal(await reply, '');
    context.mock.reset();
  }
});
