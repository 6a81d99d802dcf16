/**
 * What can somebody do who got to be root in a guest? The agent of these tests keeps all rights: it stands for an attack
 * that took the guest's kernel, and finds nothing there that leads out of the machine.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { buildInit } from '../../replica/guest/build.ts';
import { isRequired } from '../../testing.ts';
import {
  CONFORMANCE_AGENT,
  eventually,
  longestWorkMs,
  MIB,
  type Peer,
  Site,
  SPAWN,
  withPrograms,
} from '../conformance-peer.ts';
import type { Driver } from '../domain.ts';
import { isAlive, readStat } from '../process/tree.ts';
import { machineBytes } from './command.ts';
import { createQemuDriver } from './driver.ts';

const required = isRequired('qemu');
const LIMIT_BYTES = 256 * MIB;
/** QEMU itself, and the code that it has translated. */
const OWN_BYTES = 320 * MIB;
const TEST_MS = 300_000;
/** Shows what the kernel says of its devices, in a folder of its own. */
const LOOK = `const fs = require('node:fs'); const { spawnSync } = require('node:child_process');
  fs.mkdirSync('/tmp/sys', { recursive: true });
  if (!fs.existsSync('/tmp/sys/class')) spawnSync('mount', ['-t', 'sysfs', 'none', '/tmp/sys']);`;

void describe('a hostile root in a guest', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spare-hostile-'));
  let site: Site | undefined;
  let driver: Driver | undefined;
  let missing = '';
  before(async () => {
    site = await Site.create(false);
    try {
      const init = buildInit(join(folder, 'init'), ['-DAGENT_IS_ROOT']);
      const suspension = 'paused';
      const options = {
        agent: CONFORMANCE_AGENT,
        folder,
        init,
        suspension,
        progress: () => {},
      } as const;
      driver = withPrograms(await createQemuDriver(options), ['sh', 'mount', 'yes', 'mknod']);
    } catch (error) {
      if (required) throw error;
      missing = String(error);
    }
  });
  after(async () => {
    await site?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  type Attack = (peer: Peer, start: () => Promise<Peer>, context: TestContext) => Promise<void>;
  const attack = (title: string, body: Attack): void => {
    void it(title, { timeout: TEST_MS }, async (context) => {
      if (driver === undefined || site === undefined) {
        context.skip(missing);
        return;
      }
      const [own, place] = [driver, site];
      const start = (): Promise<Peer> => place.start(own, { memoryBytes: LIMIT_BYTES });
      await using peer = await start();
      assert.equal(await peer.run('return process.getuid();'), 0);
      await body(peer, start, context);
    });
  };

  attack('D1: finds no network, no other disk, no port but its own', async (peer) => {
    const found = (await peer.run(
      `${LOOK}
       const list = (path) => fs.readdirSync('/tmp/sys/' + path).sort();
       const read = (path) => fs.readFileSync('/tmp/sys/' + path, 'utf8').trim();
       return {
         network: list('class/net'),
         disks: list('block').filter((name) => !/^loop/.test(name)),
         ports: list('class/virtio-ports').map((name) => read('class/virtio-ports/' + name + '/name')).sort(),
         devices: list('bus/pci/devices').map((name) => read('bus/pci/devices/' + name + '/class').slice(0, 6)).sort(),
       };`,
    )) as Record<string, string[]>;
    assert.deepEqual(found, {
      network: ['lo'],
      disks: ['vda'],
      ports: ['spare.channel', 'spare.console', 'spare.control'],
      // The disk, two bridges, the ports: nothing of class 02, a network.
      devices: ['0x0100', '0x0600', '0x0601', '0x0780'],
    });
  });

  attack('D1: changes nothing of the image, for itself or for others', async (peer, start) => {
    const failure = await peer.failure(
      `${LOOK}
       const fd = fs.openSync('/dev/vda', 'r+');
       fs.writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, 0);
       fs.fsyncSync(fd);`,
    );
    assert.match(failure, /EACCES|EPERM|EROFS|EIO/);
    const remounted = await peer.run(
      `${LOOK} return spawnSync('mount', ['-o', 'remount,rw', '/'], { encoding: 'utf8' }).status;`,
    );
    assert.notEqual(remounted, 0);
    await using other = await start();
    assert.equal(await other.run('return 1;'), 1);
  });

  attack('D1: what it does to its kernel, no other machine has', async (peer, start) => {
    await peer.run(`require('node:fs').writeFileSync('/proc/sys/kernel/hostname', 'taken');`);
    await peer.run(`require('node:fs').writeFileSync('/run/note', 'taken');`);
    await using other = await start();
    assert.equal(await other.run(`return require('node:os').hostname();`), 'replica');
    assert.equal(await other.run(`return require('node:fs').existsSync('/run/note');`), false);
  });

  attack(
    'D6: cannot take more memory than the machine has, whatever it frees itself from',
    async (peer, start) => {
      await peer.run(
        `${LOOK}
       fs.mkdirSync('/tmp/group');
       spawnSync('mount', ['-t', 'cgroup2', 'none', '/tmp/group']);
       fs.writeFileSync('/tmp/group/agent/memory.max', 'max');
       globalThis.kept = [];
       setInterval(() => globalThis.kept.push(Buffer.alloc(16 * 1024 * 1024, 1)), 5);`,
      );
      const { pid } = peer;
      let most = 0;
      const ended = peer.domain.exited.then(() => true);
      for (const until = performance.now() + 15_000; performance.now() < until;) {
        most = Math.max(most, residentBytes(pid));
        if (await Promise.race([ended, delay(100)])) break;
      }
      assert.ok(most > LIMIT_BYTES / 2, 'it was not freed from anything');
      assert.ok(most < machineBytes(LIMIT_BYTES) + OWN_BYTES, `${most / MIB} MiB`);
      await using other = await start();
      assert.equal(await other.run('return 1;'), 1);
    },
  );

  const boxed = (title: string, body: (pid: number, peer: Peer) => Promise<void>): void =>
    attack(title, async (peer, _, context) => {
      if (driver?.isolation.includes('in bubblewrap') === true) await body(peer.pid, peer);
      else context.skip(driver?.isolation);
    });

  boxed('M1, D1: its hypervisor is in namespaces of its own, alone', async (pid) => {
    for (const name of ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts']) {
      assert.notEqual(readlinkSync(`/proc/${pid}/ns/${name}`), readlinkSync(`/proc/self/ns/${name}`), name);
    }
    const processes = readdirSync(`/proc/${pid}/root/proc`).filter((name) => /^\d+$/.test(name));
    assert.deepEqual(processes, ['1']);
  });

  boxed(
    'X1, D1: its hypervisor sees its program, libraries and firmware, and can write nowhere',
    async (pid) => {
      const root = `/proc/${pid}/root`;
      assert.deepEqual(strangers(root, ['dev', 'etc', 'lib', 'lib64', 'proc', 'usr']), []);
      assert.deepEqual(strangers(`${root}/etc`, ['ld.so.cache']), []);
      assert.deepEqual(strangers(`${root}/usr`, ['bin', 'lib', 'lib64', 'share']), []);
      assert.equal(readdirSync(`${root}/usr/bin`).length, 1);
      assert.deepEqual(strangers(`${root}/usr/share`, ['qemu', 'seabios']), []);
      const mounts = readFileSync(`/proc/${pid}/mounts`, 'utf8').trim().split('\n');
      assert.deepEqual(
        mounts.filter((line) => !/^\S+ (\S+ \S+ ro,|\/dev\/kvm )/.test(line)),
        [],
      );
      // A folder of the host that is open would lead to all others.
      const folders = ['cwd', ...readdirSync(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`)].filter((path) =>
        statSync(`/proc/${pid}/${path}`).isDirectory(),
      );
      assert.deepEqual(folders, ['cwd']);
      assert.equal(readlinkSync(`/proc/${pid}/cwd`), '/');
      assert.equal(statSync(`/proc/${pid}/cwd`).dev, statSync(root).dev);
    },
  );

  boxed('M2, D4: its hypervisor ends with what holds its box', async (pid, peer) => {
    const holder = readStat(pid)?.parent;
    assert.ok(holder !== undefined && holder !== process.pid);
    process.kill(holder, 'SIGKILL');
    assert.equal(await peer.domain.exited, 'killed by SIGKILL');
    assert.equal(await eventually(() => !isAlive(pid)), true);
  });

  attack('D4: a hypervisor that crashes is told of by the signal that ended it', async (peer) => {
    process.kill(peer.pid, 'SIGKILL');
    assert.equal(await peer.domain.exited, 'killed by SIGKILL');
  });

  attack('D4: a hypervisor that hangs is ended, and says so', async (peer) => {
    process.kill(peer.pid, 'SIGSTOP');
    await peer.domain.suspend();
    assert.match(await peer.domain.exited, /does not answer `stop`/);
  });

  attack('D6: floods of everything that it can write to cost the manager nothing', async (peer) => {
    const before = process.memoryUsage().rss;
    await peer.run(
      `${SPAWN} const fs = require('node:fs');
       const kernel = fs.openSync('/dev/ttyS0', 'w');
       globalThis.floods = [spawn('yes', ['x'.repeat(1000)], { stdio: ['ignore', 'inherit', 'inherit'] }),
         spawn('yes', ['y'.repeat(1000)], { stdio: ['ignore', kernel, kernel] })];`,
    );
    const longest = await longestWorkMs(2000);
    assert.ok(longest < 500, `busy for ${longest.toFixed(0)} ms`);
    assert.ok(process.memoryUsage().rss - before < 64 * MIB);
    assert.ok(peer.domain.console().length <= 64 * 1024);
    assert.equal(await peer.run('return 1;'), 1);
  });
});

/** What there is of these, or nothing. */
function strangers(folder: string, known: readonly string[]): string[] {
  return readdirSync(folder).filter((name) => !known.includes(name));
}

/** Of its own: what is mapped from a template is shared. */
function residentBytes(pid: number): number {
  try {
    const [, kib = '0'] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kib) * 1024;
  } catch {
    return 0;
  }
}
