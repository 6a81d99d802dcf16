import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { replicaId } from '../core/index.ts';
import { SpareError } from '../errors.ts';
import { namesHost } from './access.ts';
import { type AdminSource, createAdmin } from './admin.ts';

const STATUS = {
  faults: 1,
  ordered: 7,
  decided: 6,
  replicas: [],
  image: null,
  updateLog: { entries: 0, bytes: 0 },
  incidents: 0,
  rotations: { done: 0, underWay: null },
};

const TOKEN = 'secret';
const ROTATED = { replica: replicaId('r0'), by: replicaId('r2'), clean: replicaId('r4'), seconds: 1 };

async function withAdmin(
  source: Partial<AdminSource>,
  use: (ask: (path: string, method?: string, token?: string) => Promise<Response>) => Promise<void>,
): Promise<void> {
  const whole: AdminSource = {
    status: async () => STATUS,
    incidents: () => [],
    incident: async () => null,
    ready: () => true,
    console: (replica) => `printed by ${replica}`,
    recover: async () => ROTATED,
    deploy: async () => null,
    backup: async () => ({ file: 'backup.new', digest: 'd', decided: 3 }),
    ...source,
  };
  const server = createAdmin(whole, TOKEN, 'own.test').listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await use((path, method = 'GET', token = '') =>
    fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { authorization: `Bearer ${token}` } }),
  );
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

void test('what a replica printed is read with the token alone', () =>
  withAdmin({}, async (ask) => {
    for (const token of ['', `${TOKEN}!`])
      assert.equal((await ask('/replicas/r0/console', 'GET', token)).status, 401);
    assert.equal((await ask('/replicas/r0/console', 'POST', TOKEN)).headers.get('allow'), 'GET, HEAD');
    const shown = await ask('/replicas/r0/console', 'GET', TOKEN);
    assert.deepEqual(await shown.json(), { replica: 'r0', console: 'printed by r0' });
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

void test('what changes something needs the token, and POST', async () => {
  const asked: string[] = [];
  const recover = async (replica: string): Promise<typeof ROTATED> => {
    asked.push(replica);
    return ROTATED;
  };
  await withAdmin({ recover }, async (ask) => {
    for (const token of ['', 'wrong!', `${TOKEN}x`]) {
      assert.equal((await ask('/replicas/r0/recover', 'POST', token)).status, 401);
    }
    assert.equal((await ask('/replicas/r0/recover', 'GET', TOKEN)).status, 405);
    assert.deepEqual(asked, []);
    const done = await ask('/replicas/r0/recover', 'POST', TOKEN);
    assert.equal(done.status, 200);
    assert.deepEqual(await done.json(), ROTATED);
    assert.deepEqual(asked, ['r0']);
  });
});

void test('what cannot be done now is refused with its code and what to do', () =>
  withAdmin(
    {
      recover: async () => {
        throw new SpareError('group-not-whole', 'Not now.', { hint: 'Later.' });
      },
    },
    async (ask) => {
      const refused = await ask('/replicas/r0/recover', 'POST', TOKEN);
      assert.equal(refused.status, 409);
      assert.deepEqual(await refused.json(), { error: 'Not now.', code: 'group-not-whole', hint: 'Later.' });
    },
  ));

void test('an address, localhost and the own name name this host; any other name may be one that led a web page here', () => {
  const named = (host: string | undefined): boolean => namesHost(host, 'own.test');
  const good = [
    '127.0.0.1',
    '10.0.0.1:7070',
    '[::1]',
    '[::1]:7070',
    'localhost',
    'LocalHost:1',
    'Own.test:7070',
  ];
  const bad = [
    '',
    'evil.test',
    'evil.test:7070',
    '127.0.0.1.evil.test',
    'localhost.evil.test',
    '[evil.test]:1',
  ];
  assert.deepEqual(good.filter(named), good);
  assert.deepEqual(bad.filter(named), []);
  assert.ok(named(undefined), 'HTTP/1.0');
});

void test('a web page that led its own name here reads nothing', () =>
  withAdmin({}, async (ask) => {
    const { url } = await ask('/livez');
    for (const path of ['/status', '/incidents/1', '/statsu']) {
      const [reply] = (await once(
        get(new URL(path, url), { headers: { host: 'evil.test' } }),
        'response',
      )) as [IncomingMessage];
      assert.equal(reply.statusCode, 421);
      assert.match((await reply.toArray()).join(''), /localhost/);
    }
  }));

void test('P7: who holds on to connections shuts nobody out, and ends nothing that is under way', async () => {
  const backup = Promise.withResolvers<{ file: string; digest: string; decided: number }>();
  await withAdmin({ backup: () => backup.promise }, async (ask) => {
    const made = ask('/backup', 'POST', TOKEN);
    const port = Number(new URL((await ask('/livez')).url).port);
    for (let i = 0; i < 40; i++) {
      const held = connect(port, '127.0.0.1').on('error', () => {});
      held.write('GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ');
      await once(held, 'connect');
    }
    const asked = get({ port, host: '127.0.0.1', path: '/livez', agent: false });
    const [reply] = (await once(asked, 'response')) as [IncomingMessage];
    assert.equal(reply.resume().statusCode, 200);
    backup.resolve({ file: 'backup.new', digest: 'd', decided: 3 });
    assert.equal((await made).status, 200);
  });
});

void test('who asked for a backup and has left is not waited for: it is unwanted, and no other one is', async () => {
  const wanted: AbortSignal[] = [];
  const backup = async (
    unwanted: AbortSignal,
  ): Promise<{ file: string; digest: string; decided: number }> => {
    wanted.push(unwanted);
    if (wanted.length === 1) await once(unwanted, 'abort');
    else assert.equal(unwanted.aborted, false);
    return { file: 'backup.new', digest: 'd', decided: 3 };
  };
  await withAdmin({ backup }, async (ask) => {
    const port = Number(new URL((await ask('/livez')).url).port);
    const headers = { authorization: `Bearer ${TOKEN}` };
    const asked = request({
      port,
      host: '127.0.0.1',
      path: '/backup',
      method: 'POST',
      headers,
      agent: false,
    });
    asked.on('error', () => {}).end();
    while (wanted.length === 0) await delay(1);
    asked.destroy();
    while (wanted[0]?.aborted !== true) await delay(1);
    assert.equal((await ask('/backup', 'POST', TOKEN)).status, 200);
  });
});

void test('P7: what is read is read one after another, and holds up nothing that is to be done', async () => {
  const begun: ((status: typeof STATUS) => void)[] = [];
  const status = (): Promise<typeof STATUS> => new Promise((resolve) => begun.push(resolve));
  await withAdmin({ status }, async (ask) => {
    const asked = [ask('/status'), ask('/status'), ask('/status')];
    assert.equal((await ask('/backup', 'POST', TOKEN)).status, 200);
    for (const [i, reply] of asked.entries()) {
      assert.equal(begun.length, i + 1);
      begun[i]?.(STATUS);
      assert.equal((await reply).status, 200);
      if (i < 2) while (begun.length === i + 1) await delay(1);
    }
  });
});

/** Sends `count` reads ahead on one connection. */
function sendAhead(port: number, count: number): Socket {
  const client = connect(port, '127.0.0.1').on('error', () => {});
  client.write('GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(count));
  return client.resume();
}

void test('P7: of each connection one request is in work; one that sends many ahead is closed, and asks nothing of the manager', async () => {
  let asked = 0;
  const status = async (): Promise<typeof STATUS> => {
    asked++;
    await delay(10);
    return STATUS;
  };
  await withAdmin({ status }, async (ask) => {
    const port = Number(new URL((await ask('/livez')).url).port);
    await once(sendAhead(port, 1000), 'close');
    assert.equal((await ask('/status')).status, 200);
    assert.ok(asked <= 2, `${asked} times`);
  });
});

void test('P7: who has reads wait on all connections there may be shuts nobody out either, least of all who has the token', async () => {
  const first = Promise.withResolvers<typeof STATUS>();
  await withAdmin({ status: () => first.promise }, async (ask) => {
    const port = Number(new URL((await ask('/livez')).url).port);
    for (let i = 0; i < 40; i++) await once(sendAhead(port, 1), 'connect');
    const asked = get({ port, host: '127.0.0.1', path: '/livez', agent: false });
    const [reply] = (await once(asked, 'response')) as [IncomingMessage];
    assert.equal(reply.resume().statusCode, 200);
    const read = ask('/status', 'GET', TOKEN);
    const refused = await ask('/status');
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get('retry-after'), '1');
    first.resolve(STATUS);
    assert.equal((await read).status, 200);
    assert.equal((await ask('/status')).status, 200);
  });
});

void test('P7: what is read for a client that has left is not read; whether it is alive and ready is answered meanwhile', async () => {
  const first = Promise.withResolvers<typeof STATUS>();
  let asked = 0;
  const status = (): Promise<typeof STATUS> => (asked++ === 0 ? first.promise : Promise.resolve(STATUS));
  await withAdmin({ status }, async (ask) => {
    const slow = ask('/status');
    const port = Number(new URL((await ask('/livez')).url).port);
    for (let i = 0; i < 20; i++) {
      const client = sendAhead(port, 1);
      await once(client, 'connect');
      client.end();
      await once(client, 'close');
    }
    assert.equal((await ask('/readyz')).status, 200);
    first.resolve(STATUS);
    assert.equal((await slow).status, 200);
    assert.equal((await ask('/status')).status, 200);
    assert.equal(asked, 2);
  });
});
