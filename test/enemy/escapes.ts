/**
 * Attempts to get out of the domain. Each prints a line that says how it ended, `refused` or `ESCAPED`; then the replica lies, so
 * that its incident, which has its last output, shows the lines.
 */
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, openSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { resultFrames } from '../../src/wire/channel.ts';
import type { Attack } from './attack.ts';
import type { Knowledge } from './command.ts';

const PATIENCE_MS = 300;
const TRACE = 16;

type Attempts = (knows: Knowledge) => Iterable<readonly [what: string, attempt: () => unknown]>;

/** Throws unless it succeeds. */
async function reach(host: string, port: number): Promise<void> {
  const socket = connect(port, host);
  try {
    await Promise.race([
      once(socket, 'connect'),
      delay(PATIENCE_MS).then(() => {
        throw new Error('no answer');
      }),
    ]);
  } finally {
    socket.destroy();
  }
}

async function ask(host: string): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.send('x', 53, host, (error) => (error === null ? resolve() : reject(error)));
  });
  socket.close();
}

function run(program: string, ...args: string[]): void {
  const { status, error } = spawnSync(program, args, { stdio: 'ignore' });
  if (status !== 0) throw new Error(error?.message ?? `exit status ${status}`);
}

const network: Attempts = function* ({ ports, dataFolder }) {
  for (const port of ports) yield [`port ${port} of the host`, () => reach('127.0.0.1', port)];
  yield ['another address', () => reach('192.0.2.1', 80)];
  yield ['a name server', () => ask('192.0.2.53')];
  yield [
    'an interface',
    () => {
      if (Object.keys(networkInterfaces()).every((name) => name === 'lo')) throw new Error('only lo');
    },
  ];
  yield ['a socket in the data folder', () => once(connect(`${dataFolder}/socket`), 'connect')];
};

const files: Attempts = function* ({ dataFolder }) {
  yield ['the order', () => readFileSync(`${dataFolder}/spare.db`)];
  yield ['the data folder', () => readdirSync(dataFolder)];
  yield [
    'through a link',
    () => {
      symlinkSync(dataFolder, '/tmp/link');
      readdirSync('/tmp/link');
    },
  ];
  yield ['the passwords', () => readFileSync('/etc/shadow')];
  yield ['the home of root', () => readdirSync('/root')];
  yield ["the service's code", () => writeFileSync(`${process.env['SPARE_WORK']}/accounts.mjs`, '')];
  yield ["Spare's code", () => writeFileSync(new URL('../../src/index.ts', import.meta.url), '')];
  yield ['a program', () => writeFileSync('/usr/bin/env', '')];
  yield ['its own root', () => writeFileSync('/own', '')];
  yield ['a disk', () => openSync('/dev/sda', 'r')];
  yield ['the memory', () => openSync('/dev/mem', 'r')];
};

const signals: Attempts = function* ({ managerPid, otherPids }) {
  yield ['killing the manager', () => process.kill(managerPid, 'SIGKILL')];
  yield ["stopping the manager's group", () => process.kill(-managerPid, 'SIGSTOP')];
  for (const pid of otherPids) yield [`killing another domain`, () => process.kill(pid, 'SIGKILL')];
  yield [
    'killing its own first process',
    () => {
      process.kill(1, 'SIGKILL');
      // The system lets it be sent, and has no effect by it.
      if (existsSync('/proc/1')) throw new Error('it lives');
    },
  ];
};

const others: Attempts = function* ({ managerPid, otherPids, dataFolder }) {
  yield ['the files of another domain', () => readdirSync(`${dataFolder}/domains`)];
  for (const pid of [managerPid, ...otherPids]) {
    yield [
      `the memory of ${pid === managerPid ? 'the manager' : 'another domain'}`,
      () => openSync(`/proc/${pid}/mem`, 'r+'),
    ];
  }
  yield ['the root of the first process', () => readFileSync(`/proc/1/root${dataFolder}/spare.db`)];
  yield [
    'a descriptor of the first process',
    () => {
      for (const fd of readdirSync('/proc/1/fd')) openSync(`/proc/1/fd/${fd}`, 'r+');
    },
  ];
  // Its own first process is inside, too, and has no more rights.
  for (const pid of [managerPid, ...otherPids]) {
    const script = `import ctypes,sys;sys.exit(ctypes.CDLL(None).ptrace(${TRACE},${pid},0,0)!=0)`;
    yield ['tracing another process', () => run('python3', '-c', script)];
  }
  yield ['the core pattern', () => writeFileSync('/proc/sys/kernel/core_pattern', '|/bin/sh')];
  yield ['the system keys', () => writeFileSync('/proc/sysrq-trigger', 'b')];
  yield ['mounting', () => run('mount', '-t', 'tmpfs', 'none', '/tmp')];
  yield ['a user namespace', () => run('unshare', '--user', '--map-root-user', 'true')];
  yield ['entering another namespace', () => run('nsenter', '--target', '1', '--all', 'true')];
  yield ['being root', () => run('setpriv', '--reuid', '0', 'true')];
};

function escape(name: string, stopped: string, attempts: Attempts): Attack {
  return {
    name,
    by: 'active',
    kind: 'reply',
    sandboxed: true,
    stopped,
    run: async (captured) => {
      for (const [what, attempt] of attempts(captured.knows)) {
        let end = 'ESCAPED';
        try {
          await attempt();
        } catch {
          end = 'refused';
        }
        process.stdout.write(`attempt: ${what}: ${end}\n`);
      }
      // The manager reads the output by another way than the lie.
      await delay(PATIENCE_MS);
      captured.results('request', 'all', ({ index, update }) =>
        captured.send(resultFrames(index, Buffer.from('x'), update)),
      );
    },
  };
}

export const ESCAPE_ATTACKS: readonly Attack[] = [
  escape('a way out by the network', 'a network namespace of its own, D1', network),
  escape('a way out by files', 'a mount namespace of its own, read-only, D1', files),
  escape('signals to the manager and to others', 'a pid namespace of its own, D1', signals),
  escape('a way into others, or up', 'namespaces, no rights, no new ones, D1', others),
];
