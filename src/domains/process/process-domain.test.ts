/** What only the process driver can be asked: the processes between the manager and the domain. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { isRequired, withDescriptors } from '../../testing.ts';
import {
  CONFORMANCE_AGENT,
  eventually,
  findMarked,
  MIB,
  newMarker,
  type Peer,
  Site,
  SPAWN,
} from '../conformance-peer.ts';
import type { Driver } from '../domain.ts';
import { createProcessDriver, type Level } from './driver.ts';
import { killGroup } from './launch.ts';
import { goBehind } from './priority.ts';
import { childrenOf, isAlive, readStat } from './tree.ts';

/** Below the manager, down to the agent. */
function between(agent: number): number[] {
  const parent = readStat(agent)?.parent ?? 0;
  return parent === process.pid || parent === 0 ? [agent] : [...between(parent), agent];
}

const PYTHON = '/usr/bin/python3';

/** By its number outside of the domain. */
function sessionOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3] ?? '';
}

/** The watchdog sees a suspended domain more than twice. */
const LOOKS_MS = 3500;
/** On a busy host the domain may be behind all others. */
const PATIENCE_MS = 60_000;

async function endOf({ domain }: Peer): Promise<string> {
  return await Promise.race([domain.exited, delay(PATIENCE_MS, 'not ended', { ref: false })]);
}

/** In bubblewrap; or why it cannot be, unless it must. */
async function boxedDriver(): Promise<Driver | string> {
  const made = createProcessDriver({ level: 'bubblewrap', agent: CONFORMANCE_AGENT });
  return isRequired('bubblewrap') ? made : made.catch(String);
}

const DAEMON = `const options = { detached: true, stdio: 'ignore' };
  require('node:child_process').spawn('sh', ['-c', 'sleep $0 & exit', argument], options);`;

for (const level of ['bubblewrap', 'bubblewrap-root', 'unshare', 'plain'] satisfies Level[]) {
  void it(`D3, D4: the domain ends with any process above it (${level})`, async (context) => {
    const driver = await createProcessDriver({ level, agent: CONFORMANCE_AGENT }).catch(String);
    if (typeof driver === 'string') return context.skip(driver);
    await using site = await Site.create();
    for (let depth = 0, depths = 1; depth < depths; depth += 1) {
      await using peer = await site.start(driver);
      const marker = newMarker();
      await peer.run(DAEMON, marker);
      assert.equal(await eventually(() => findMarked(marker).length === 1), true);
      if (depth % 2 === 1) await peer.domain.suspend();
      const above = between(peer.pid);
      depths = above.length;
      const victim = above[depth];
      assert.ok(victim !== undefined);
      process.kill(victim, 'SIGKILL');
      assert.match(await peer.domain.exited, /^(killed by SIGKILL|exit status 1)$/);
      assert.deepEqual(findMarked(marker), []);
    }
    return undefined;
  });
}

void it('D3: none of the processes above a domain stays because it is stopped while the one above it ends', async (context) => {
  const driver = await boxedDriver();
  if (typeof driver === 'string') return context.skip(driver);
  await using site = await Site.create();
  await using peer = await site.start(driver);
  const above = between(peer.pid).slice(0, -1);
  const [started = 0, ...rest] = above;
  for (const pid of rest.slice(0, -1)) process.kill(pid, 'SIGSTOP');
  process.kill(started, 'SIGKILL');
  assert.equal(await peer.domain.exited, 'killed by SIGKILL');
  return assert.deepEqual(above.filter(isAlive), []);
});

void it('settings of interpreters that lie below /etc are shown', async (context) => {
  const driver = await boxedDriver();
  if (typeof driver === 'string') return context.skip(driver);
  const names = readdirSync('/etc').filter((name) => /^(java-|perl$|php$)/.test(name));
  if (names.length === 0) return context.skip('there are none');
  await using site = await Site.create();
  await using peer = await site.start(driver);
  const shown = await peer.run(
    `return argument.map((name) => require('node:fs').readdirSync('/etc/' + name));`,
    names,
  );
  return assert.deepEqual(
    shown,
    names.map((name) => readdirSync(`/etc/${name}`)),
  );
});

void it('D6: a domain is not ended for the memory that its children have before they run their programs', async () => {
  const driver = await createProcessDriver({ level: 'plain', agent: CONFORMANCE_AGENT });
  await using site = await Site.create();
  await using peer = await site.start(driver);
  const spawns = `globalThis.kept = Buffer.alloc(130 * 1024 * 1024, 1);
    const { spawnSync } = require('node:child_process');
    for (const until = performance.now() + 5000; performance.now() < until;) spawnSync('true');`;
  assert.equal(await Promise.race([peer.run(spawns), peer.domain.exited]), undefined);
});

void it('without descriptors a domain is not started, and nothing stays', async () => {
  const driver = await createProcessDriver({ level: 'plain', agent: CONFORMANCE_AGENT });
  await using site = await Site.create();
  const before = childrenOf(process.pid);
  for (const free of [4, 8]) {
    await assert.rejects(
      withDescriptors(free, () => site.start(driver)),
      { code: 'domain-start-failed' },
    );
    assert.equal(
      await eventually(() => childrenOf(process.pid).join() === before.join()),
      true,
      'something is left',
    );
  }
});

void it('two starts at once are two users, none of them known to the host', async (context) => {
  const driver = await boxedDriver();
  if (typeof driver === 'string') return context.skip(driver);
  if (process.getuid?.() !== 0) return context.skip('only for root');
  await using site = await Site.create();
  await using one = await site.start(driver);
  await using two = await site.start(driver);
  const uidOf = (pid: number): string =>
    execFileSync('stat', ['-c', '%u', `/proc/${pid}`], { encoding: 'utf8' });
  const [first, second] = [uidOf(one.pid), uidOf(two.pid)];
  assert.notEqual(first, second);
  assert.ok(Number(first) > 0x7000_0000 - 1 && Number(second) > 0x7000_0000 - 1);
  return undefined;
});

/** Works for ever, in a process of its own. */
const BUSY = `${SPAWN} spawn(process.execPath, ['-e', 'for (;;);', argument], { stdio: 'ignore' });`;

/** Holds 100 MiB in a process of its own, and once that is continued 150 more; to get them is the only work that it does then. */
const GREEDY = `${SPAWN}
  const code = "const kept = [Buffer.alloc(100 * 2 ** 20, 1)]; setInterval(() => {}, 1e6);" +
    "process.once('SIGCONT', () => kept.push(Buffer.alloc(150 * 2 ** 20, 1))); console.log('held')";
  const child = spawn(process.execPath, ['-e', code, argument], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));`;

void it('L4, D2: a process that continues while its domain is suspended ends it, one that is stopped does not', async () => {
  const driver = await createProcessDriver({ agent: CONFORMANCE_AGENT });
  await using site = await Site.create();
  await using peer = await site.start(driver, { memoryBytes: 1024 * MIB });
  const marker = newMarker();
  await peer.run(BUSY, marker);
  await delay(500);
  await peer.domain.suspend();
  assert.equal(await Promise.race([peer.domain.exited, delay(LOOKS_MS, 'suspended')]), 'suspended');
  await peer.domain.resume();
  await delay(500);
  await peer.domain.suspend();
  // As a timer of its own can do, which nobody stops.
  for (const pid of findMarked(marker)) process.kill(pid, 'SIGCONT');
  assert.equal(await peer.domain.exited, 'it went on while it was suspended');
  assert.deepEqual(findMarked(marker), []);
});

void it('L4, D6: the limits hold for a suspended domain, too', async () => {
  const driver = await createProcessDriver({ agent: CONFORMANCE_AGENT });
  await using site = await Site.create();
  await using peer = await site.start(driver, { memoryBytes: 256 * MIB });
  const marker = newMarker();
  await peer.run(GREEDY, marker);
  await peer.domain.suspend();
  for (const pid of findMarked(marker)) process.kill(pid, 'SIGCONT');
  assert.equal(await peer.domain.exited, 'memory limit (256 MiB) exceeded');
});

/**
 * Has the first process of the namespace run machine code (x86-64, hexadecimal), once it hears of a child: it belongs to the same user, so
 * its memory can be written.
 */
const POKE_INIT = `import ctypes, os, sys
trace = ctypes.CDLL(None).ptrace
trace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
at = int(open('/proc/1/syscall').read().split()[-1], 16)
code = bytes.fromhex(sys.argv[1])
assert trace(16, 1, 0, 0) == 0
os.waitpid(1, 0x40000000)
for i in range(0, len(code), 8): trace(4, 1, at + i, int.from_bytes(code[i:i + 8].ljust(8, b'\\x90'), 'little'))
trace(17, 1, 0, 0)`;
const TAKE_INIT = `const { execFileSync, spawnSync } = require('node:child_process');
  execFileSync('${PYTHON}', ['-c', ${JSON.stringify(POKE_INIT)}, argument]);
  spawnSync('/bin/sh', ['-c', '(sleep 0.1 &)']);`;
/** `mmap` of 512 MiB, all of it at once. */
const GREEDY_CODE = 'b80900000031ffbe00000020ba0300000041ba2280000049c7c0ffffffff4531c90f05';
const BUSY_CODE = 'ebfe';
/** Makes a second thread, which does what follows, and ends the first one; it no longer ends with its parent (`prctl`). */
const SECOND_THREAD_CODE =
  'b89d000000bf0100000031f60f05b838000000bf000f050031f631d24531d24531c00f0585c07409b83c00000031ff0f05';

/** With a first process in it that can be taken over, or why there is none. */
async function initDriver(): Promise<Driver | string> {
  if (process.arch !== 'x64') return 'its code is for x86-64';
  if (!existsSync(PYTHON)) return 'no python3';
  return boxedDriver();
}

void it('D6: the memory of the first process of the namespace counts, too: a domain can take it over', async (context) => {
  const driver = await initDriver();
  if (typeof driver === 'string') return context.skip(driver);
  await using site = await Site.create();
  await using peer = await site.start(driver);
  void peer.run(TAKE_INIT, GREEDY_CODE + BUSY_CODE);
  return assert.equal(await endOf(peer), 'memory limit (256 MiB) exceeded');
});

void it('L4, D2: the first process of the namespace does not work while its domain is suspended', async (context) => {
  const driver = await initDriver();
  if (typeof driver === 'string') return context.skip(driver);
  await using site = await Site.create();
  await using peer = await site.start(driver);
  await peer.run(TAKE_INIT, BUSY_CODE);
  await delay(200);
  await peer.domain.suspend();
  return assert.equal(await endOf(peer), 'it went on while it was suspended');
});

void it('D6: the limits that the system puts on a domain hold for the first process of its namespace, too', async (context) => {
  const driver = await boxedDriver();
  if (typeof driver === 'string') return context.skip(driver);
  await using site = await Site.create();
  await using peer = await site.start(driver);
  const [first, agent] = (await peer.run(
    `return [1, 'self'].map((pid) => require('node:fs').readFileSync('/proc/' + pid + '/limits', 'utf8').split('\\n'));`,
  )) as string[][];
  // Where it is the manager's user, its other processes would count as well.
  const isOwn = (line: string): boolean => process.getuid?.() === 0 || !line.startsWith('Max processes');
  return assert.deepEqual(first?.filter(isOwn), agent?.filter(isOwn));
});

void it('D6: the memory of a process whose first thread has ended counts', async (context) => {
  const driver = await initDriver();
  if (typeof driver === 'string') return context.skip(driver);
  await using site = await Site.create();
  await using peer = await site.start(driver);
  void peer.run(TAKE_INIT, SECOND_THREAD_CODE + GREEDY_CODE + BUSY_CODE);
  return assert.equal(await endOf(peer), 'memory limit (256 MiB) exceeded');
});

void it('L1, D3: a process whose first thread has ended ends with its domain', async (context) => {
  const driver = await initDriver();
  if (typeof driver === 'string') return context.skip(driver);
  await using site = await Site.create();
  await using peer = await site.start(driver);
  const init = readStat(peer.pid)?.parent ?? 0;
  context.after(() => existsSync(`/proc/${init}`) && process.kill(init, 'SIGKILL'));
  // It has no answer, perhaps: the agent ends with the thread that started it.
  void peer.run(TAKE_INIT, SECOND_THREAD_CODE + BUSY_CODE);
  assert.equal(await eventually(() => readStat(init)?.state === 'Z'), true);
  await peer.domain.destroy();
  return assert.equal(await eventually(() => !existsSync(`/proc/${init}`), 2000), true);
});

/** The numbers of `add_key`, `request_key` and `keyctl`. */
const KEYRING_CALLS = { x64: [248, 249, 250], arm64: [217, 218, 219] } as const;

/** What `code` prints, run in a domain. */
async function python(
  code: string,
  args: readonly string[],
  context: TestContext,
): Promise<string | undefined> {
  const driver = await boxedDriver();
  if (typeof driver === 'string' || !existsSync(PYTHON)) {
    context.skip(typeof driver === 'string' ? driver : 'no python3');
    return undefined;
  }
  await using site = await Site.create();
  await using peer = await site.start(driver);
  const run = `return require('node:child_process').execFileSync(argument[0], argument.slice(1)).toString();`;
  return String(await peer.run(run, [PYTHON, '-c', code, ...args]));
}

void it("D1: the kernel's keyrings, of which a domain would have the manager's, cannot be reached", async (context) => {
  if (process.arch !== 'x64' && process.arch !== 'arm64') return context.skip(process.arch);
  const code = `import ctypes, errno, sys
call = ctypes.CDLL(None, use_errno=True).syscall
print([call(int(number), 0, -3, 1, 0, 0) < 0 and errno.errorcode[ctypes.get_errno()] for number in sys.argv[1:]])`;
  const answers = await python(code, KEYRING_CALLS[process.arch].map(String), context);
  return answers === undefined ? undefined : assert.equal(answers, "['ENOSYS', 'ENOSYS', 'ENOSYS']\n");
});

/** Uses a page in each of many regions of two MiB, which the kernel keeps a page about each for. */
const MAP_CODE = `import ctypes, mmap, sys, time
map = ctypes.CDLL(None).mmap
map.restype, map.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
with open(sys.argv[1]) as file:
  for i in range(60000):
    ctypes.c_byte.from_address(map(None, 2 << 20, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)).value
time.sleep(60)`;

void it('D6, P7: what the kernel keeps about the memory of a domain counts as its memory', async (context) => {
  const driver = await createProcessDriver({ agent: CONFORMANCE_AGENT });
  if (!existsSync(PYTHON)) return context.skip('no python3');
  await using site = await Site.create();
  await using peer = await site.start(driver, { memoryBytes: 192 * MIB });
  await peer.run(`${SPAWN} spawn(argument[0], argument.slice(1), { stdio: 'ignore' });`, [
    PYTHON,
    '-c',
    MAP_CODE,
    process.execPath,
  ]);
  return assert.equal(await endOf(peer), 'memory limit (192 MiB) exceeded');
});

void it('P6: a domain has no lease on a file, with which it would keep the manager from reading it', async (context) => {
  const code = `import fcntl, errno, sys, tempfile
path = tempfile.mkstemp()[1]
with open(path) as file:
  for command in fcntl.F_SETLEASE, fcntl.F_GETFD:
    try: print(command, fcntl.fcntl(file, command, fcntl.F_RDLCK))
    except OSError as error: print(command, errno.errorcode[error.errno])`;
  const answers = await python(code, [], context);
  return answers === undefined ? undefined : assert.equal(answers, '1024 ENOSYS\n1 1\n');
});

void it('P5, P7: a domain sets nothing through /proc, neither who is ended first nor its share of the processors', async (context) => {
  const driver = await boxedDriver();
  if (typeof driver === 'string') return context.skip(driver);
  await using site = await Site.create();
  await using peer = await site.start(driver);
  for (const [name, value] of [
    ['oom_score_adj', '1000'],
    ['autogroup', '0'],
  ]) {
    const write = `require('node:fs').writeFileSync('/proc/self/' + argument[0], argument[1], { flag: 'r+' });`;
    assert.match(await peer.failure(write, [name, value]), /EROFS|ENOENT/);
  }
  return undefined;
});

const AS_SESSION = `require('node:child_process').execFileSync(argument, ['-c', 'import os; os.setsid()']);`;

void it('P5: all of a domain is one session, for Linux shares the processors between sessions', async (context) => {
  const driver = await boxedDriver();
  if (typeof driver === 'string') return context.skip(driver);
  await using site = await Site.create();
  await using peer = await site.start(driver);
  const marker = newMarker();
  await peer.run(DAEMON, marker);
  assert.equal(await eventually(() => findMarked(marker).length === 1), true);
  const [daemon = 0] = findMarked(marker);
  assert.equal(sessionOf(daemon), sessionOf(peer.pid));
  // Python would throw if it were told so.
  if (existsSync(PYTHON)) await peer.run(AS_SESSION, PYTHON);
  return assert.notEqual(sessionOf(peer.pid), sessionOf(process.pid));
});

void it('P5: a domain that starts stands behind those that serve, until it is prioritized', async (context) => {
  const niceOf = (pid: number): string =>
    readFileSync(`/proc/${pid}/autogroup`, 'utf8').split(' nice ')[1] ?? '';
  if (!existsSync('/proc/self/autogroup')) return context.skip('sessions are not grouped here');
  const driver = await createProcessDriver({ agent: CONFORMANCE_AGENT });
  await using site = await Site.create();
  await using peer = await site.start(driver);
  assert.equal(niceOf(peer.pid), '19\n');
  peer.domain.prioritize();
  assert.equal(await eventually(() => niceOf(peer.pid) === '0\n'), true);
  assert.notEqual(niceOf(process.pid), '19\n');
  return undefined;
});

/** A session of its own that would use a whole processor, for so many seconds at most. */
function busy(seconds: number): ChildProcess {
  const command = ['-s', 'KILL', String(seconds), 'sh', '-c', 'while :; do :; done'];
  return spawn('timeout', command, { detached: true, stdio: 'ignore' });
}

void it('D3: a domain is not ended behind all others, though it started there', async (context) => {
  if (!existsSync('/proc/self/autogroup')) return context.skip('sessions are not grouped here');
  const driver = await createProcessDriver({ agent: CONFORMANCE_AGENT });
  await using site = await Site.create();
  await using peer = await site.start(driver, { processes: 300 });
  const many = `Array.from({ length: 200 }, () => spawn('sleep', ['60'], { stdio: 'ignore' }))`;
  await peer.run(`${SPAWN} globalThis.all = ${many};`);
  while ((await peer.domain.usage()).processes < 200) await delay(10);
  goBehind(peer.pid);
  const others = Array.from({ length: 3 * availableParallelism() }, () => busy(20));
  context.after(() => others.forEach(killGroup));
  await delay(100);
  await peer.domain.destroy();
  assert.ok(others.every(({ exitCode, signalCode }) => exitCode === null && signalCode === null));
  return undefined;
});
