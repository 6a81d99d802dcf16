/** Is what the agent says of its service what happened: of replies that are no HTTP, and of an end, also where the agent waits for a processor? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { childrenOf } from '../domains/process/tree.ts';
import { freePort } from '../manager/port.ts';
import { Exchange } from './exchange.ts';
import { Service } from './service.ts';
import { standStill, untilDone } from '../testing.ts';

/** Ends with the test. */
async function started(
  context: TestContext,
  code: string,
  folder: string,
  onEnded: (why: string) => void,
  timeoutMs = 60_000,
): Promise<Service> {
  context.after(() => childrenOf(process.pid).forEach((pid) => process.kill(pid)));
  return await Service.start(
    {
      command: [process.execPath, '-e', code],
      env: {},
      folder,
      port: await freePort(),
      timeoutMs,
      replyBytesMax: 1024,
    },
    onEnded,
  );
}

/** Ends when it is told to. */
const ENDS = `
  require('node:http').createServer().listen(process.env.PORT);
  setInterval(() => require('node:fs').existsSync('end') && process.exit(3), 1);`;
/** Longer than a broken connection waits for the end of its service. */
const STALLED_MS = 1000;

void test('P5: a service that ends with a request has ended, though the agent stood still just then', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-service-'));
  const service = await started(context, ENDS, place.path, () => {});
  context.mock.method(Exchange.prototype, 'ask', async () => {
    setImmediate(() => {
      writeFileSync(join(place.path, 'end'), '');
      standStill(STALLED_MS);
    });
    throw new Error('the connection broke');
  });
  const asked = service.ask({ method: 'GET', target: '/', headers: [], body: Buffer.alloc(0) });
  await assert.rejects(asked, /The service ended: exit status 3/);
});

/** Once somebody has seen that it listens. */
const ENDS_AT_ONCE = `require('node:net').createServer(() => process.exit(3)).listen(process.env.PORT, '127.0.0.1')`;

void test('P5: a service that ends as soon as it listens has not started, though the agent stood still just then', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-service-'));
  const { connect } = net;
  context.mock.method(net, 'connect', (port: number, host: string) =>
    connect(port, host).once('connect', () => setImmediate(() => standStill(STALLED_MS))),
  );
  untilDone(context);
  const ended: string[] = [];
  const start = started(context, ENDS_AT_ONCE, place.path, (why) => ended.push(why));
  await assert.rejects(start, /The service ended: exit status 3/);
  assert.deepEqual(ended, []);
});

/** Listens first, as those do that say "not yet" meanwhile; then it works for a second, now and then waiting for a file. */
const LISTENS_FIRST = `
  let said = 'not yet';
  const server = require('node:http').createServer((request, response) => response.end(said));
  server.listen(process.env.PORT, '127.0.0.1', async () => {
    for (let i = 0; i < 50; i++) {
      for (const end = performance.now() + 20; performance.now() < end; );
      await require('node:fs/promises').readFile('/proc/self/stat');
    }
    said = 'ready';
  });`;

void test('P5: a service that goes on starting after it listens has started once it has nothing left to do', async (context) => {
  const service = await started(context, LISTENS_FIRST, tmpdir(), () => {});
  const { body } = await service.ask({ method: 'GET', target: '/', headers: [], body: Buffer.alloc(0) });
  assert.equal(Buffer.from(body).toString(), 'ready');
});

void test('P5: so has one that listens when more than half of the time is over', async (context) => {
  const late = `setTimeout(() => { ${LISTENS_FIRST} }, 6500)`;
  const service = await started(context, late, tmpdir(), () => {}, 12_000);
  const { body } = await service.ask({ method: 'GET', target: '/', headers: [], body: Buffer.alloc(0) });
  assert.equal(Buffer.from(body).toString(), 'ready');
});

/** Answers the path, which is base64, and closes the connection. */
const ANSWERS = `require('node:net').createServer((socket) => socket.on('error', () => {}).on('data', (data) =>
  socket.end(Buffer.from(/ .(\\S*)/.exec(data)?.[1] ?? '', 'base64')))).listen(process.env.PORT, '127.0.0.1')`;

const OK = 'HTTP/1.1 200 OK\r\n';

const UNREADABLE = {
  nothing: '',
  'half a head': `${OK}Content-Le`,
  'half a body': `${OK}Content-Length: 9\r\n\r\nhalf`,
  'half of the chunks': `${OK}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n`,
  'no HTTP': '220 mail.test ESMTP\r\n',
  'in another transfer coding': `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
  'two framings': `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
  'a head above 16 KiB': `${OK}X: ${'x'.repeat(17_000)}\r\nContent-Length: 1\r\n\r\na`,
};

void test('V2: a reply that is not whole, or no HTTP, is a 502 that says so; the next request is served', async (context) => {
  const ended: string[] = [];
  const service = await started(context, ANSWERS, tmpdir(), (why) => ended.push(why));
  const ask = async (reply: string): Promise<string> => {
    const target = `/${Buffer.from(reply).toString('base64')}`;
    const got = await service.ask({ method: 'GET', target, headers: [], body: Buffer.alloc(0) });
    return `${got.status} ${Buffer.from(got.body).toString()}`;
  };
  for (const [what, reply] of Object.entries(UNREADABLE)) {
    assert.match(await ask(reply), /^502 The service closed .* whole, or its reply is no HTTP/, what);
    assert.equal(
      await ask(`HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`),
      '200 ok',
    );
  }
  assert.deepEqual(ended, []);
});
