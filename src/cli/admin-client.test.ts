/** Whom does `spare` take for the group of a data folder? With real servers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { publishAccess, withdrawAccess } from '../admin/access.ts';
import { type AdminSource, createAdmin } from '../admin/admin.ts';
import { SpareError } from '../errors.ts';
import { withoutRights } from '../testing.ts';
import { askAdmin } from './admin-client.ts';

const MADE = { file: 'backup.new', digest: 'd', decided: 3 };
const PATIENCE_MS = 50;
const source = { backup: async () => MADE } as Partial<AdminSource> as AdminSource;

async function urlOf(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
}

const notRunning = (error: unknown): boolean => error instanceof SpareError && error.code === 'not-running';

void test('a data folder that only another user may enter is not said to be none', async () => {
  using place = mkdtempDisposableSync(`${tmpdir()}/spare-client-`);
  chmodSync(place.path, 0o755);
  const data = `${place.path}/data`;
  mkdirSync(data);
  writeFileSync(`${data}/spare.db`, '');
  chmodSync(data, 0);
  {
    using _ = withoutRights();
    const closed = {
      code: 'data-folder-unwritable',
      message: /data: permission denied/,
      hint: /as the user/,
    };
    await assert.rejects(askAdmin(data, '/backup'), closed);
  }
  chmodSync(data, 0o700);
});

void test('P2: a group that was killed is not running, whoever has its port by then; so it can be backed up and deployed', async () => {
  using data = mkdtempDisposableSync(`${tmpdir()}/spare-client-`);
  await assert.rejects(askAdmin(data.path, '/backup'), { code: 'data-folder-missing' });
  writeFileSync(`${data.path}/spare.db`, '');
  await assert.rejects(askAdmin(data.path, '/backup'), notRunning);
  await using own = createAdmin(source, 'own', '127.0.0.1');
  publishAccess(data.path, { url: await urlOf(own), token: 'own', config: 'c' });
  assert.deepEqual(await askAdmin(data.path, '/backup'), MADE);
  await using other = createAdmin(source, 'other', '127.0.0.1');
  await using page = createServer((_request, response) => response.writeHead(404).end('<html>'));
  await using list = createServer((_request, response) => response.end('[]'));
  for (const server of [other, page, list]) {
    publishAccess(data.path, { url: await urlOf(server), token: 'own', config: 'c' });
    for (const path of ['/backup', '/statsu']) await assert.rejects(askAdmin(data.path, path), notRunning);
    await assert.rejects(askAdmin(data.path, '/livez', 'GET'), notRunning);
  }
  withdrawAccess(data.path);
  await assert.rejects(askAdmin(data.path, '/backup'), notRunning);
});

void test('P2: what takes long to be done is waited for, such as a backup; what is read and does not come is not', async () => {
  using data = mkdtempDisposableSync(`${tmpdir()}/spare-client-`);
  writeFileSync(`${data.path}/spare.db`, '');
  const slow: Partial<AdminSource> = {
    status: () => new Promise(() => {}),
    backup: async () => {
      await delay(20 * PATIENCE_MS);
      return MADE;
    },
  };
  await using server = createAdmin(slow as AdminSource, 'own', '127.0.0.1');
  publishAccess(data.path, { url: await urlOf(server), token: 'own', config: 'c' });
  assert.deepEqual(await askAdmin(data.path, '/backup', 'POST', PATIENCE_MS), MADE);
  const silent = { code: 'admin-failed', message: /it does not answer/ };
  await assert.rejects(askAdmin(data.path, '/status', 'GET', PATIENCE_MS), silent);
  server.closeAllConnections();
  await using stranger = createServer(() => {});
  publishAccess(data.path, { url: await urlOf(stranger), token: 'own', config: 'c' });
  await assert.rejects(askAdmin(data.path, '/backup', 'POST', PATIENCE_MS), silent);
  stranger.closeAllConnections();
});
