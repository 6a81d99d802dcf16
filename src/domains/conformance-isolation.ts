/** The part of the conformance suite for drivers that promise isolation (D1): attempts to get out of a domain. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { newMarker, type Register } from './conformance-peer.ts';

const ENVIRONMENT = new Set('PATH HOME LANG LC_ALL TZ SPARE_RUN SPARE_WORK PWD OLDPWD SHLVL _'.split(' '));

export function isolationTests(promise: Register): void {
  networkTests(promise);
  fileTests(promise);
  processTests(promise);
}

function networkTests(promise: Register): void {
  promise('D1: the only network interface is the own loopback, and it works', async (peer) => {
    const names = await peer.run(
      `return require('node:fs').readFileSync('/proc/net/dev', 'utf8').match(/^ *\\w+(?=:)/gm).map((name) => name.trim());`,
    );
    assert.deepEqual(names, ['lo']);
    const echoed = await peer.run(
      `const net = require('node:net');
       const server = net.createServer((socket) => socket.end('here')).listen(0, '127.0.0.1');
       await new Promise((resolve) => server.once('listening', resolve));
       const chunks = await net.connect(server.address().port, '127.0.0.1').toArray();
       server.close();
       return Buffer.concat(chunks).toString();`,
    );
    assert.equal(echoed, 'here');
  });

  promise("D1: a listener on the host's loopback cannot be reached", async (peer) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const failure = await peer.failure(
      `const socket = require('node:net').connect(argument, '127.0.0.1');
       await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));`,
      port,
    );
    server.close();
    assert.match(failure, /ECONNREFUSED/);
  });
}

function fileTests(promise: Register): void {
  promise('D1: the service folder is read-only but for what the service itself makes', async (peer, site) => {
    const write = `require('node:fs').writeFileSync(argument, 'changed');`;
    for (const path of ['server.mjs', 'lib/part.mjs', 'lib/new.mjs', 'data/seed.json']) {
      assert.match(await peer.failure(write, path), /EROFS|EACCES/, path);
      assert.match(
        await peer.failure(`require('node:fs').chmodSync(argument, 0o777);`, path),
        /E[A-Z]+/,
        path,
      );
    }
    for (const path of ['conduit.db', 'conduit.db-wal', 'data/app.db', 'data/new.json']) {
      assert.equal(await peer.failure(write, path), '[undefined]', path);
    }
    assert.equal(existsSync(join(site.folder, 'conduit.db')), false);
    assert.equal(existsSync(join(site.folder, 'data', 'new.json')), false);
    assert.equal(await readFile(join(site.folder, 'data', 'app.db'), 'utf8'), 'state of the host');
    assert.equal(await peer.run('return process.cwd();'), site.folder);
    assert.equal(await peer.run('return process.env.SPARE_WORK;'), site.folder);
  });

  promise("D1: the host's state files are not shown", async (peer) => {
    assert.deepEqual(await peer.run(`return require('node:fs').readdirSync('data');`), ['seed.json']);
  });

  promise('D1: neither another domain nor the data folder can be read', async (peer, site, driver) => {
    await using other = await site.start(driver);
    const secret = join(site.base, 'secret');
    await writeFile(secret, 'secret', { mode: 0o666 });
    for (const path of [other.directory, peer.directory, join(site.base, 'domains'), secret]) {
      assert.match(await peer.failure(`require('node:fs').statSync(argument);`, path), /ENOENT|EACCES/, path);
    }
  });

  promise('D1: nothing but the private folders can be written', async (peer) => {
    for (const folder of ['/', '/usr', '/etc', '/dev', '/run', '/bin', '/proc/sys/kernel']) {
      const failure = await peer.failure(
        `require('node:fs').writeFileSync(argument + '/spare-x', '');`,
        folder,
      );
      assert.match(failure, /EROFS|EACCES|EPERM|ENOENT/, folder);
    }
    for (const folder of ['/tmp', '/dev/shm']) {
      const filled = await peer.failure(
        `const fs = require('node:fs'); const path = argument + '/big'; const chunk = Buffer.alloc(1 << 20);
         try { for (let i = 0; i < 200; i += 1) fs.appendFileSync(path, chunk); } finally { fs.rmSync(path, { force: true }); }`,
        folder,
      );
      assert.match(filled, /ENOSPC/, folder);
    }
  });
}

function processTests(promise: Register): void {
  promise('D1: processes of the host are neither seen nor signalled', async (peer) => {
    const marker = newMarker();
    const stranger = spawn('sleep', [marker], { stdio: 'ignore' });
    const seen = await peer.run(
      `const fs = require('node:fs');
       return fs.readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).map((pid) => {
         try { return fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8'); } catch { return ''; }
       }).join('\\n');`,
    );
    stranger.kill();
    assert.equal(String(seen).includes(marker), false);
    for (const pid of [process.pid, stranger.pid, peer.domain.pid]) {
      assert.match(await peer.failure('process.kill(argument, 0);', pid), /ESRCH|EPERM/);
    }
    assert.match(
      await peer.failure(`require('node:fs').openSync('/proc/' + argument + '/mem', 'r+');`, process.pid),
      /ENOENT/,
    );
  });

  promise(
    'D1: environment, hostname and user say nothing of the host or the replica',
    async (peer, site, driver) => {
      await using other = await site.start(driver);
      const who = `const os = require('node:os'); return [os.hostname(), process.pid, process.getuid(), os.userInfo(), process.env];`;
      const mine = (await peer.run(who)) as [string, number, number, object, Record<string, string>];
      assert.deepEqual(mine, await other.run(who));
      assert.equal(mine[0], 'replica');
      for (const name of Object.keys(mine[4])) assert.ok(ENVIRONMENT.has(name), name);
      assert.equal(JSON.stringify(mine).includes(peer.directory), false);
    },
  );

  promise('D1: mounting, gaining rights and loading into the kernel fail', async (peer) => {
    const attempt = `const { status, stderr } = require('node:child_process').spawnSync(argument[0], argument.slice(1));
       if (status !== 0) throw new Error('refused ' + stderr);`;
    for (const command of [
      ['mount', '-t', 'tmpfs', 'none', '/mnt'],
      ['mount', '-o', 'remount,rw', '/usr'],
      ['umount', process.execPath],
      ['unshare', '--user', '--map-root-user', 'true'],
      ['setpriv', '--reuid', '0', 'true'],
      ['hostname', 'other'],
      ['ip', 'link', 'set', 'lo', 'down'],
      ['nsenter', '--target', '1', '--user', 'true'],
    ]) {
      assert.match(await peer.failure(attempt, command), /refused/, command.join(' '));
    }
    const capabilities = await peer.run(
      `return require('node:fs').readFileSync('/proc/self/status', 'utf8').match(/^Cap(?:Prm|Eff|Bnd).*$/gm);`,
    );
    for (const line of capabilities as string[]) assert.match(line, /\t0+$/);
  });
}
