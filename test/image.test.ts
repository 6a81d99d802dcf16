/**
 * Is it noticed when somebody changes what replicas start from, and does none start from it? With a real service, whose code is
 * changed on disk while it runs.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempDisposableSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { call } from './support/call.ts';
import { PATIENCE_MS, SERVICES, signalTree, Spare } from './support/spare.ts';

/** A ledger in a folder of its own. */
function site(): { folder: string; server: string; [Symbol.dispose]: () => void } {
  const place = mkdtempDisposableSync(join(tmpdir(), 'spare-site-'));
  const server = join(place.path, 'server.mjs');
  copyFileSync(join(SERVICES, 'ledger.mjs'), server);
  return { folder: place.path, server, [Symbol.dispose]: () => place.remove() };
}

function service(folder: string): { folder: string; command: string[]; state: string[] } {
  return { folder, command: ['node', 'server.mjs'], state: ['ledger.db'] };
}

async function works(url: string): Promise<boolean> {
  const reply = await fetch(url, { method: 'POST', body: 'x' });
  await reply.arrayBuffer();
  return reply.status === 200;
}

test('P6: a change on disk is an incident, no replica starts from it, and clients are served on', async () => {
  using place = site();
  await using spare = await new Spare(service(place.folder)).start();
  const sound = readFileSync(place.server, 'utf8');
  writeFileSync(place.server, `${sound}\n// changed`);
  const refused = await call('recover', 'r0', '--data', spare.data);
  assert.match(refused.text, /\[image-changed\][^]*spare deploy/);
  const victim = await spare.victim();
  signalTree(victim.pid, 'SIGKILL');
  await spare.until(
    'the crash is an incident, too',
    PATIENCE_MS,
    async () => (await spare.incidents()).length === 2,
  );
  const incidents = await spare.incidents();
  assert.deepEqual(
    incidents.map(({ kind }) => kind),
    ['image', 'crash'],
  );
  assert.match(incidents[0]?.what ?? '', /server\.mjs \(service\) was changed/);
  for (let i = 0; i < 20; i++) assert.ok(await works(spare.url));
  await spare.until('starts were refused and tried again', PATIENCE_MS, async () =>
    (await spare.status()).replicas.some(({ id }) => Number(id.slice(1)) > 5),
  );
  const { replicas } = await spare.status();
  // Who was woken for the dead one is not put to sleep again, and no clean one comes.
  assert.equal(replicas.filter(({ state }) => state === 'running').length, 2);
  assert.equal(replicas.filter(({ state }) => state === 'suspended').length, 0);
  writeFileSync(place.server, sound);
  await spare.whole();
  assert.equal((await spare.incidents()).length, 2, 'the change was reported once');
  // r4 and r5 were to replace the dead one and the one that was woken for it.
  const clean = (await spare.status()).replicas.filter(({ role }) => role === 'passive').map(({ id }) => id);
  assert.ok(
    !clean.includes('r4') && !clean.includes('r5'),
    `${clean.join(' ')} started from what was changed`,
  );
  assert.ok(await works(spare.url));
});

test('the image of a new version is built beside the one that a group may run from', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-site-'));
  const data = join(place.path, 'data');
  const build = async (version: string): Promise<{ status: number; text: string }> => {
    const config = join(place.path, 'spare.config.mjs');
    const folder = join(place.path, version);
    mkdirSync(folder);
    writeFileSync(join(folder, 'server.mjs'), '');
    writeFileSync(config, `export default ${JSON.stringify({ ...service(folder), data })};`);
    return await call('image', 'build', '--config', config);
  };
  const { status, text } = await build('one');
  if (status !== 0) return context.skip(text);
  const images = (): string[] => readdirSync(join(data, 'images'));
  const [first = ''] = images();
  await build('two');
  const [second = '', ...others] = images();
  assert.deepEqual(others, [], 'nothing was ever run: who needs the first?');
  assert.notEqual(second, first);
  // What a group has there that runs.
  mkdirSync(join(data, 'domains'));
  writeFileSync(join(data, 'spare.db'), '');
  await build('three');
  assert.equal(images().length, 2);
  assert.ok(images().includes(second));
  return undefined;
});

test('P6: a group does not start from what was changed while it was down', async () => {
  using place = site();
  await using spare = await new Spare(service(place.folder)).start();
  assert.ok(await works(spare.url));
  await spare.signal('SIGINT');
  const sound = readFileSync(place.server, 'utf8');
  writeFileSync(place.server, `${sound}\n// changed`);
  await assert.rejects(spare.start(), /server\.mjs \(service\) was changed[^]*\[image-changed\]/);
  writeFileSync(place.server, sound);
  await spare.start();
  assert.ok(await works(spare.url));
});

/** Measuring them takes a while. */
const REST_BYTES = 256 * 1024 ** 2;

test('a service whose folder is written to while it starts is refused, and the message says by what', async () => {
  using place = site();
  // Looked at after the log, which so grows until it is looked at again, also where this process waits for a processor.
  const rest = join(place.folder, 'rest.bin');
  writeFileSync(rest, '');
  truncateSync(rest, REST_BYTES);
  const log = setInterval(() => appendFileSync(join(place.folder, 'out.log'), 'a line\n'), 5);
  await using spare = new Spare(service(place.folder));
  try {
    const refusal = /out\.log \(service\) was \w+[^]*a log, belongs elsewhere[^]*\[image-changed\]/;
    await assert.rejects(spare.start(), refusal);
  } finally {
    clearInterval(log);
  }
  await call('deploy', '--data', spare.data);
  await spare.start();
});

/** Says what it sees of its folder, and whether it can talk to the host. */
const WATCHER = `
  import { readdirSync, statSync } from 'node:fs';
  import { createServer } from 'node:http';
  import { connect } from 'node:net';
  import { DatabaseSync } from 'node:sqlite';
  new DatabaseSync('app.db').exec('create table if not exists seen (name)');
  createServer((request, response) => {
    const answer = (met) => {
      const files = readdirSync('.', { recursive: true }).filter((name) => !name.startsWith('app.db'));
      const bytes = files.filter((name) => name.includes('config')).map((name) => statSync(name).size);
      response.end(JSON.stringify({ met, files: files.sort(), bytes }));
    };
    connect('lib/part/host.sock').once('connect', () => answer('host')).once('error', () => answer('nobody'));
  }).listen(process.env.PORT);`;

test('D1 P6: what is not measured changes nothing in a replica: it is not seen, and sockets lead nowhere', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-site-'));
  for (const [name, text] of Object.entries({
    'server.mjs': WATCHER,
    'lib/part/code.mjs': '',
    '.git/config': '',
    'lib/.git/config': '',
    'spare.config.mjs': '',
    'lib/spare.config.ts': '',
  })) {
    mkdirSync(join(place.path, dirname(name)), { recursive: true });
    writeFileSync(join(place.path, name), text);
  }
  const host = createServer().listen({ path: join(place.path, 'lib/part/host.sock'), writableAll: true });
  await once(host, 'listening');
  context.after(() => host.close());
  await using spare = new Spare({ folder: place.path, command: ['node', 'server.mjs'], state: ['app.db'] });
  await spare.start();
  if (!spare.output.includes('bubblewrap')) return context.skip('the files of the host are visible here');
  // Both those that were started first and one that is started now.
  for (const name of ['lib/.git/config', 'spare.config.mjs', 'lib/spare.config.ts'])
    writeFileSync(join(place.path, name), 'changed');
  const { text } = await call('recover', 'r0', '--data', spare.data);
  assert.match(text, /^rotated/);
  assert.deepEqual(await (await fetch(spare.url)).json(), {
    met: 'nobody',
    files: [
      'lib',
      'lib/.git',
      'lib/part',
      'lib/part/code.mjs',
      'lib/part/host.sock',
      'lib/spare.config.ts',
      'server.mjs',
    ],
    bytes: [0],
  });
  assert.deepEqual(await spare.incidents(), []);
  return undefined;
});

test('D1 P6: data of another group in the service folder changes at will, and is not seen', async (context) => {
  using place = site();
  const data = join(place.folder, 'lib/other');
  mkdirSync(dirname(data));
  writeFileSync(place.server, WATCHER);
  await using other = await new Spare({
    ...service(SERVICES),
    command: ['node', 'ledger.mjs'],
    data,
  }).start();
  await using spare = new Spare({ folder: place.folder, command: ['node', 'server.mjs'], state: ['app.db'] });
  await spare.start();
  assert.ok(await works(other.url));
  const { text } = await call('recover', 'r0', '--data', spare.data);
  assert.match(text, /^rotated/);
  if (!spare.output.includes('bubblewrap')) return context.skip('the files of the host are visible here');
  const seen = await (await fetch(spare.url)).json();
  assert.deepEqual(seen, { met: 'nobody', files: ['lib', 'lib/other', 'server.mjs'], bytes: [] });
  return undefined;
});
