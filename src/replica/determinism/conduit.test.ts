/** Does a third-party service (SQLite through a native driver, bcrypt, JWT) give two copies the same replies and state? */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ask, Sandbox, SKIP_LIBC, START_MS } from './testing.ts';

const CONDUIT = fileURLToPath(new URL('../../../examples/conduit/', import.meta.url));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  server.close();
  await once(server, 'close');
  return address.port;
}

/** Asks until the service is up. */
async function post(port: number, path: string, body: unknown, token: string): Promise<string> {
  for (let tries = 0; tries < 1200; tries++) {
    const reply = await ask({ port, path, method: 'POST' }, body, 0, {
      authorization: `Token ${token}`,
    }).catch(() => null);
    if (reply !== null) return reply;
    await setTimeout(50);
  }
  throw new Error('Conduit does not answer');
}

/** Starts one copy and sends it the same requests under the same pages; its replies, and its database as a hash. */
async function session(sandbox: Sandbox, name: string): Promise<string[]> {
  const port = await freePort();
  const database = join(sandbox.folder, `${name}.db`);
  sandbox.set({});
  void sandbox.start('both', ['server.mjs'], { PORT: String(port), DATABASE: database }, CONDUIT);
  const user = { username: 'ada', email: 'ada@example.org', password: 'difference' };
  const article = { title: 'Notes', description: 'On the engine', body: 'It weaves.', tagList: ['engine'] };
  const requests = [
    ['/api/users', { user }],
    ['/api/users/login', { user }],
    ['/api/users', { user }],
    ['/api/articles', { article }],
  ] as const;
  const replies: string[] = [];
  for (const [index, [path, body]] of requests.entries()) {
    // The first one waits for the service, which starts under the page of entry 0.
    const entry = { index, timeMs: START_MS + 1234 * index, seed: Buffer.alloc(32, index + 1) };
    sandbox.set(entry);
    const token = /"token":"([^"]+)"/.exec(replies[0] ?? '')?.[1] ?? '';
    replies.push(await post(port, path, body, token));
  }
  using db = new DatabaseSync(database);
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  return [...replies, createHash('sha256').update(readFileSync(database)).digest('hex')];
}

void test(
  'two copies of Conduit answer identically and end with identical databases',
  { skip: SKIP_LIBC },
  async () => {
    await using sandbox = new Sandbox();
    const first = await session(sandbox, 'first');
    assert.match(first[0] ?? '', /"token":"ey/);
    assert.match(first[3] ?? '', /"createdAt":"2023-11-14T22:13:23/);
    assert.deepEqual(await session(sandbox, 'second'), first);
  },
);
