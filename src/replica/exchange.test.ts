/** Does no request go out on a connection that the service is about to close? */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Exchange } from './exchange.ts';
import { standStill } from '../testing.ts';

interface Service extends AsyncDisposable {
  readonly connections: Socket[];
  ask(body?: string): Promise<number>;
}

/** Answers each request with `head`, and does not read its body; `after` is called then. */
async function start(head: string, after: (socket: Socket) => void = () => {}): Promise<Service> {
  const connections: Socket[] = [];
  const server = createServer((socket) => {
    connections.push(socket);
    socket.on('error', () => {});
    let came = '';
    socket.on('data', (data: Buffer) => {
      came += data.toString('latin1');
      for (let end = came.indexOf('\r\n\r\n'); end !== -1; end = came.indexOf('\r\n\r\n')) {
        const status = /^(GET|POST) \/ /.test(came) ? '200 OK' : '400 Bad Request';
        came = came.slice(end + 4);
        socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n${head}\r\n`);
        after(socket);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const exchange = new Exchange((server.address() as AddressInfo).port, 1000);
  return {
    connections,
    ask: async (text = '') => {
      const [method, body] = [text === '' ? 'GET' : 'POST', Buffer.from(text)];
      return (await exchange.ask({ method, target: '/', headers: [], body })).status;
    },
    async [Symbol.asyncDispose]() {
      await exchange.close();
      for (const socket of connections) socket.destroy();
      server.close();
    },
  };
}

/** Asks until a connection is used again. */
async function usedAgain(service: Service): Promise<void> {
  const until = performance.now() + 20_000;
  for (let before = -1; service.connections.length > before; await delay(10)) {
    assert.ok(performance.now() < until);
    before = service.connections.length;
    for (let i = 0; i < 10; i++) assert.equal(await service.ask(), 200);
  }
}

test('Y1: no request is lost with a service that closes each connection without a word', async () => {
  const closeSoon = (socket: Socket): void => void setImmediate(() => setImmediate(() => socket.end()));
  await using service = await start('', closeSoon);
  for (let i = 0; i < 200; i++) assert.equal(await service.ask(), 200, `request ${i}`);
});

test('Y1: a connection is used again once one was seen to stay open', async () => {
  await using service = await start('');
  await usedAgain(service);
});

test('Y2: what a service has not read of a body is not taken for the next request', async () => {
  await using service = await start('');
  for (let i = 0; i < 3; i++) {
    assert.equal(await service.ask('{"a":1}'), 200);
    assert.equal(await service.ask('{"a":1}'), 200);
    await usedAgain(service);
  }
});

test('Y1: one that the service says to keep is used again at once', async () => {
  await using service = await start('Connection: Keep-Alive\r\n');
  for (let i = 0; i < 5; i++) assert.equal(await service.ask(), 200);
  assert.equal(service.connections.length, 1);
});

const GO_ON = new Int32Array(new SharedArrayBuffer(4));

/** A service in a thread of its own, which goes on while this one stands still. It answers with `head`, and does `after` then. */
async function startBeside(
  head: string,
  after: string,
): Promise<AsyncDisposable & { ask(body?: Buffer): Promise<number> }> {
  const worker = new Worker(
    `const { parentPort, workerData: goOn } = require('node:worker_threads');
    const reply = 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n${head}\\r\\n';
    require('node:net').createServer((socket) => {
      socket.on('error', () => {}).on('data', () => socket.write(reply, () => { ${after} }));
    }).listen(0, '127.0.0.1', function () { parentPort.postMessage(this.address().port); });`,
    { eval: true, workerData: GO_ON },
  );
  const [port] = (await once(worker, 'message')) as [number];
  const exchange = new Exchange(port, 1000);
  return {
    ask: async (body = Buffer.of()) =>
      (await exchange.ask({ method: 'POST', target: '/', headers: [], body })).status,
    async [Symbol.asyncDispose]() {
      await exchange.close();
      await worker.terminate();
    },
  };
}

test('Y1: nothing goes out on a connection that the service has closed while this process stood still', async () => {
  const close = 'socket.setTimeout(1000, () => socket.destroy());';
  await using service = await startBeside('Connection: keep-alive\\r\\n', close);
  assert.equal(await service.ask(), 200);
  standStill(1500);
  assert.equal(await service.ask(), 200);
});

test('Y1: a connection was not seen to stay open while the service stood still, too', async () => {
  const close = 'Atomics.wait(goOn, 0, 0); Atomics.wait(goOn, 0, 1, 20); socket.end();';
  await using service = await startBeside('', close);
  assert.equal(await service.ask(), 200);
  standStill(300);
  Atomics.store(GO_ON, 0, 1);
  Atomics.notify(GO_ON, 0);
  await delay(1);
  for (let i = 0; i < 2; i++) assert.equal(await service.ask(), 200);
});

test('Y3: the reply of a service that closes before it has read all of a body is heard', async () => {
  await using service = await startBeside('', 'socket.destroy();');
  const body = Buffer.alloc(8 * 1024 ** 2);
  for (let i = 0; i < 50; i++) assert.equal(await service.ask(body), 200, `request ${i}`);
});
