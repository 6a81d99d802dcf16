/** What a service sees of its folder, tried in real domains of the strongest level this host offers. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';

import { SpareError } from '../../errors.ts';
import { CONFORMANCE_AGENT, Site } from '../conformance-peer.ts';
import type { Driver } from '../domain.ts';
import { createProcessDriver } from './driver.ts';

const LIST = `return require('node:fs').readdirSync(argument).sort();`;
const READ = `return require('node:fs').readFileSync(argument, 'utf8');`;

void describe('the service folder in a domain', { concurrency: 2 }, () => {
  let driver: Driver;
  let missing: string | false = false;
  before(async () => {
    try {
      driver = await createProcessDriver({ level: 'bubblewrap', agent: CONFORMANCE_AGENT });
    } catch (error) {
      missing = String(error);
    }
  });

  void it('shows links as links, and files that only their owner may read', async (context) => {
    if (missing !== false) return context.skip(missing);
    await using site = await Site.create();
    symlinkSync('lib/part.mjs', join(site.folder, 'link.mjs'));
    writeFileSync(join(site.folder, '.env'), 'KEY=1', { mode: 0o600 });
    await using peer = await site.start(driver);
    assert.equal(await peer.run(`return require('node:fs').readlinkSync('link.mjs');`), 'lib/part.mjs');
    assert.equal(await peer.run(READ, '.env'), 'KEY=1');
    return undefined;
  });

  void it('F2, F3: shows neither sockets, nor pipes, nor the data folder', async (context) => {
    if (missing !== false) return context.skip(missing);
    await using site = await Site.create();
    const server = createServer().listen(join(site.folder, 'host.sock'));
    execFileSync('sh', ['-c', 'mkfifo "$0"', join(site.folder, 'pipe')]);
    const directory = join(site.folder, '.spare', 'domains', 'r-x');
    mkdirSync(directory, { recursive: true });
    const domain = await driver.start({
      id: 'r-x',
      image: { folder: site.folder, command: ['sh'], env: {}, state: ['data/app.db', 'new/deep/app.db'] },
      limits: { memoryBytes: 256 * 1024 ** 2, processes: 16 },
      directory,
    });
    const seen = execFileSync('ls', ['-A', `/proc/${domain.pid}/cwd/`], { encoding: 'utf8' });
    await domain.destroy();
    server.close();
    assert.deepEqual(seen.trim().split('\n').sort(), ['data', 'lib', 'new', 'server.mjs']);
    return undefined;
  });

  void it('F3: covers sockets and folders that are left out, also in libraries above a folder that is named by a link', async (context) => {
    if (missing !== false) return context.skip(missing);
    await using site = await Site.create();
    const base = join(site.base, 'link');
    symlinkSync(site.base, base);
    const sockets = ['service/lib/deep/host.sock', 'node_modules/hoisted/host.sock'];
    const folders = ['service/.git', 'service/lib/.git', 'node_modules/hoisted/.git'];
    for (const path of [...sockets.map(dirname), ...folders])
      mkdirSync(join(site.base, path), { recursive: true });
    for (const path of folders) writeFileSync(join(site.base, path, 'config'), 'secret');
    const servers = sockets.map((path) =>
      createServer().listen({ path: join(site.base, path), writableAll: true }),
    );
    context.after(() => servers.forEach((server) => server.close()));
    const gone = join(site.folder, 'lib/gone.sock');
    const leftOut = [...[...sockets, ...folders].map((path) => join(site.base, path)), gone];
    await using peer = await site.start(driver, {}, { folder: join(base, 'service'), leftOut });
    const connect = `const socket = require('node:net').connect(argument);
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));`;
    for (const path of sockets)
      assert.match(await peer.failure(connect, join(base, path)), /EACCES|ECONNREFUSED/, path);
    assert.deepEqual(await peer.run(LIST, '.'), ['data', 'lib', 'server.mjs']);
    for (const path of folders.slice(1)) assert.deepEqual(await peer.run(LIST, join(base, path)), [], path);
    return undefined;
  });

  void it('works with thousands of entries, and none can be changed on the host', async (context) => {
    if (missing !== false) return context.skip(missing);
    await using site = await Site.create();
    for (let i = 0; i < 3000; i += 1) writeFileSync(join(site.folder, `page-${i}.html`), String(i));
    await using peer = await site.start(driver);
    assert.equal(((await peer.run(LIST, '.')) as string[]).length, 3003);
    assert.equal(await peer.run(READ, 'page-2999.html'), '2999');
    await peer.failure(`require('node:fs').rmSync('page-7.html', { force: true });`);
    assert.equal(existsSync(join(site.folder, 'page-7.html')), true);
    return undefined;
  });

  void it('finds modules that a workspace keeps above the service folder', async (context) => {
    if (missing !== false) return context.skip(missing);
    await using site = await Site.create();
    mkdirSync(join(site.base, 'node_modules', 'hoisted'), { recursive: true });
    writeFileSync(join(site.base, 'node_modules', 'hoisted', 'index.js'), 'module.exports = 42;');
    if (process.getuid?.() === 0) execFileSync('chmod', ['-R', 'go+rX', join(site.base, 'node_modules')]);
    await using peer = await site.start(driver);
    const code = `return require('node:module').createRequire(process.cwd() + '/x.js')('hoisted');`;
    assert.equal(await peer.run(code), 42);
    return undefined;
  });
});

void it('a domain that cannot be started leaves nothing behind and says why', async () => {
  await using site = await Site.create();
  const driver = await createProcessDriver({ agent: CONFORMANCE_AGENT });
  const directory = join(site.base, 'domains', 'r-y');
  const limits = { memoryBytes: 256 * 1024 ** 2, processes: 16 };
  for (const [image, code] of [
    [{ folder: site.folder, command: ['no-such-program'], env: {}, state: [] }, 'command-not-found'],
    [{ folder: join(site.base, 'x'), command: ['sh'], env: {}, state: [] }, 'service-folder-missing'],
    [{ folder: site.folder, command: ['sh'], env: {}, state: ['../app.db'] }, 'config-invalid'],
  ] as const) {
    mkdirSync(directory);
    await assert.rejects(
      driver.start({ id: 'r-y', image, limits, directory }),
      (error) => error instanceof SpareError && error.code === code,
    );
    assert.equal(existsSync(directory), false);
  }
});
