import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { type AdminSource, createAdmin } from './admin.ts';

const STATUS = {
  faults: 1,
  ordered: 7,
  decided: 6,
  replicas: [],
  updateLog: { entries: 0, bytes: 0 },
  incidents: 0,
};

async function withAdmin(
  source: Partial<AdminSource>,
  use: (ask: (path: string, method?: string) => Promise<Response>) => Promise<void>,
): Promise<void> {
  const whole: AdminSource = {
    status: async () => STATUS,
    incidents: () => [],
    ready: () => true,
    ...source,
  };
  const server = createAdmin(whole).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await use((path, method = 'GET') => fetch(`http://127.0.0.1:${port}${path}`, { method }));
  server.closeAllConnections();
  server.close();
}

void test('status and incidents are JSON, whatever the query', () =>
  withAdmin({}, async (ask) => {
    assert.deepEqual(await (await ask('/status?pretty')).json(), STATUS);
    const incidents = await ask('/incidents');
    assert.equal(incidents.headers.get('content-type'), 'application/json');
    assert.deepEqual(await incidents.json(), []);
  }));

void test('alive is not yet ready', () =>
  withAdmin({ ready: () => false }, async (ask) => {
    assert.equal((await ask('/livez')).status, 200);
    assert.equal((await ask('/readyz')).status, 503);
  }));

void test('what is not there, not allowed or fails says so', () =>
  withAdmin(
    {
      status: async () => {
        throw new Error('no status');
      },
    },
    async (ask) => {
      assert.equal((await ask('/status')).status, 500);
      const missing = await ask('/statsu');
      assert.equal(missing.status, 404);
      assert.match(await missing.text(), /\/status/);
      const changing = await ask('/status', 'POST');
      assert.equal(changing.status, 405);
      assert.equal(changing.headers.get('allow'), 'GET, HEAD');
      const head = await ask('/livez', 'HEAD');
      assert.equal(head.status, 200);
      assert.equal(await head.text(), '');
    },
  ));
