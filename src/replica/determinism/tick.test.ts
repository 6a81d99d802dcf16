/** Can a process of the service keep the agent waiting, or make it hold memory (T1, T2)? */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TickServer } from './tick.ts';

let folder: string;
const sockets: Socket[] = [];
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'spare-tick-'));
});
after(() => {
  for (const socket of sockets) socket.destroy();
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function connected(server: TickServer, path: string): Promise<Socket> {
  const count = server.connections;
  const socket = connect(path).on('error', () => {});
  sockets.push(socket);
  while (server.connections === count) await new Promise(setImmediate);
  return socket;
}

/** Resolves when the socket is closed; what hangs must fail, not hang the tests. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.closed) return resolve();
    socket.once('close', () => resolve());
    setTimeout(() => reject(new Error('still connected')), 60_000).unref();
  });
}

void test('a tick without processes is done at once', async () => {
  using server = await TickServer.listen(join(folder, 'none'));
  await server.tick(8_000);
});

void test('a tick waits for every process, for one that leaves only until then', async () => {
  const path = join(folder, 'every');
  using server = await TickServer.listen(path);
  const [slow, leaving] = [await connected(server, path), await connected(server, path)];
  let isDone = false;
  const tick = server.tick(8_000).then(() => (isDone = true));
  const [said] = await once(slow, 'data');
  assert.equal(String(said), 'tick\n');
  leaving.destroy();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(isDone, false);
  slow.write('do');
  slow.write('ne\n');
  const start = Date.now();
  await tick;
  assert.ok(Date.now() - start < 4000, 'not only when the time is up');
});

void test('a silent process costs the given time, and its late answer does not count for the next tick', async () => {
  const path = join(folder, 'silent');
  using server = await TickServer.listen(path);
  const silent = await connected(server, path);
  await server.tick(30);
  let isDone = false;
  const next = server.tick(8_000).then(() => (isDone = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  silent.write('done\n');
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(isDone, false);
  silent.write('done\n');
  await next;
});

void test('a process that says anything else, or answers unasked, is dropped', async () => {
  const path = join(folder, 'hostile');
  using server = await TickServer.listen(path);
  for (const words of ['done\n', 'x', 'x'.repeat(1_000_000)]) {
    const hostile = await connected(server, path);
    hostile.write(words);
    await closed(hostile);
  }
  const hostile = await connected(server, path);
  const tick = server.tick(8_000);
  hostile.write('done\ndone\n');
  await Promise.all([tick, closed(hostile)]);
  assert.equal(server.connections, 0);
});

void test('a process that never answers is dropped after a while', async () => {
  const path = join(folder, 'never');
  using server = await TickServer.listen(path);
  const never = await connected(server, path);
  never.resume();
  for (let i = 0; i < 70; i++) await server.tick(0);
  await closed(never);
  assert.equal(server.connections, 0);
});
