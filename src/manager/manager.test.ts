/** Is the manager put together as its parts say? With real ones: domains, a store, and a service in them. */
import assert from 'node:assert/strict';
import fs, {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { index as toIndex, replicaId } from '../core/index.ts';
import { NEVER } from '../core/testing/never.ts';
import type { Driver } from '../domains/domain.ts';
import { readStat } from '../domains/process/tree.ts';
import { SpareError } from '../errors.ts';
import { fillDisk, replaceTool, standStill, untilDone } from '../testing.ts';
import { encodeBare, encodeCommand, encodeRequestEntry } from '../wire/entry.ts';
import { encodeRequest } from '../wire/http.ts';
import type { Verdict } from './in-work.ts';
import type { Manager } from './manager.ts';
import { imageIn, MIB, REPLY_BYTES, startGroup, STATE_BYTES, until, wholeGroup } from './testing.ts';

/** More than what is kept of one replica. */
const REQUESTS = 2 + (256 * MIB) / REPLY_BYTES;

/** Of a state that takes seconds to back up. */
const LARGE_BYTES = 2 * 1024 * MIB;

const REQUEST = encodeRequest({ method: 'GET', target: '/', headers: [], body: Buffer.alloc(0) });

/** How often what replicas start from was compared. */
function counted(): { readonly check: () => Promise<readonly string[]>; readonly count: () => number } {
  let count = 0;
  const check = async (): Promise<readonly string[]> => {
    count++;
    return [];
  };
  return { check, count: () => count };
}

function killActive(manager: Manager): void {
  const active = manager.view().replicas.find(({ state }) => state === 'running');
  const pid = active === undefined ? null : manager.domainOf(active.id)?.pid;
  assert.ok(typeof pid === 'number');
  process.kill(pid, 'SIGKILL');
}

/** The error that the group ends with when an active replica is killed. */
async function endedBy(manager: Manager): Promise<SpareError> {
  const halted = Promise.withResolvers<SpareError>();
  manager.onHalt = halted.resolve;
  killActive(manager);
  return await halted.promise;
}

void test('P5 P7: of a replica whose undecided replies are many no more is taken until the slower one has caught up', async () => {
  await using group = await wholeGroup();
  const { manager } = group;
  const active = manager.view().replicas.filter(({ state }) => state === 'running');
  const [fast, slow] = active.map(({ id }) => manager.domainOf(id));
  assert.ok(typeof slow?.pid === 'number');
  process.kill(slow.pid, 'SIGSTOP');
  const verdicts: Verdict[] = [];
  for (let i = 0; i < REQUESTS; i++) manager.submit(null, REQUEST, (verdict) => verdicts.push(verdict));
  await until('the fast one is not heard', () => fast?.channel.isPaused() === true);
  assert.equal(verdicts.length, 0);
  process.kill(slow.pid, 'SIGCONT');
  await until('all is answered', () => verdicts.length === REQUESTS);
  assert.ok(verdicts.every((verdict) => verdict.type === 'reply' && verdict.bytes.length > REPLY_BYTES));
  assert.deepEqual(manager.evidence.incidents.latest(), []);
});

void test('P5 P6: a replica that is not heard answers no more than its memory can hold', async () => {
  const requests = 2 * REQUESTS;
  await using group = await wholeGroup({ memoryBytes: (requests - 6) * REPLY_BYTES });
  const { manager } = group;
  const active = manager.view().replicas.filter(({ state }) => state === 'running');
  const [unheard, other] = active.map(({ id }) => manager.domainOf(id)?.channel);
  unheard?.pause();
  const answered: string[] = [];
  for (let i = 0; i < requests; i++) manager.submit(null, REQUEST, ({ type }) => answered.push(type));
  const faults = (): readonly unknown[] => manager.evidence.incidents.latest();
  await until(
    'the other one has sent all that is taken',
    () => other?.isPaused() === true || faults().length > 0,
  );
  unheard?.resume();
  await until('all is answered', () => answered.length === requests);
  assert.ok(answered.every((type) => type === 'reply'));
  assert.deepEqual(faults(), []);
});

void test('P5 P7: while nothing is decided, one tick is ordered and no more; ticks go on after that', async () => {
  await using group = await wholeGroup();
  const { manager } = group;
  const active = manager.view().replicas.filter(({ state }) => state === 'running');
  const pids = active.map(({ id }) => Number(manager.domainOf(id)?.pid));
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  await until('a tick is ordered', () => manager.view().ordered > manager.view().decided);
  const { ordered } = manager.view();
  await delay(2500);
  assert.equal(manager.view().ordered, ordered);
  for (const pid of pids) process.kill(pid, 'SIGCONT');
  await until('the next one is decided', () => manager.view().decided > ordered);
});

const LATE_MS = 2000;

void test('P5 P6: one that ends to answer is blamed alone, however many replies the one ahead of it had sent; all is answered', async () => {
  // Long enough for the other one to send all that is taken of it before.
  await using group = await wholeGroup({ lateMs: 3 * LATE_MS });
  const { manager } = group;
  const [, silent] = manager.view().replicas.filter(({ state }) => state === 'running');
  const pid = silent === undefined ? null : manager.domainOf(silent.id)?.pid;
  assert.ok(typeof pid === 'number');
  process.kill(pid, 'SIGSTOP');
  const answered: string[] = [];
  for (let i = 0; i < REQUESTS; i++) manager.submit(null, REQUEST, ({ type }) => answered.push(type));
  await until('all is answered', () => answered.length === REQUESTS);
  await until('it is repaired', () => manager.health.whole());
  assert.ok(answered.every((type) => type === 'reply'));
  const incidents = manager.evidence.incidents.latest();
  assert.deepEqual(
    incidents.map(({ replica, kind }) => [replica, kind]),
    [[silent?.id, 'late']],
  );
});

void test('P6: no replica is late because the manager stood still', async () => {
  await using group = await wholeGroup({ lateMs: LATE_MS });
  const { manager } = group;
  const states = (): unknown[] => manager.view().replicas.map(({ id, state }) => [id, state]);
  const [first, second] = manager.view().replicas;
  const [before, slow] = [states(), manager.domainOf(second?.id ?? replicaId(''))?.pid];
  assert.ok(typeof slow === 'number');
  const ask = (): Promise<Verdict> => new Promise((done) => manager.submit(null, REQUEST, done));
  const appliedBy = (id: string | undefined): number =>
    manager.view().replicas.find((replica) => replica.id === id)?.applied ?? 0;
  process.kill(slow, 'SIGSTOP');
  const asked = ask();
  await until('one of two has answered', () => appliedBy(first?.id) > appliedBy(second?.id));
  process.kill(slow, 'SIGCONT');
  // Its clock is what it looks at next; the other one answers meanwhile.
  await new Promise(setImmediate);
  standStill(2 * LATE_MS);
  for (const { type } of [await asked, await ask()]) assert.equal(type, 'reply');
  assert.deepEqual(states(), before, 'nobody was woken');
});

void test('P6: no replica is late because the disk takes long for what it exports', async (context) => {
  // Also for a machine that has other things to do.
  const keeperMs = 5000;
  await using group = await wholeGroup({ keeperMs });
  const { manager } = group;
  const { fdatasync } = fs;
  let waits = 0;
  context.mock.method(fs, 'fdatasync', (fd: number, done: fs.NoParamCallback) => {
    const waitMs = waits++ === 0 ? keeperMs + STATE_BYTES / 4000 + 2000 : 0;
    setTimeout(() => fdatasync(fd, done), waitMs);
  });
  untilDone(context);
  const names = (): string[] => readdirSync(group.dataFolder);
  const before = new Set(names());
  const asked = new Promise<Verdict>((done) => manager.submit(null, REQUEST, done));
  assert.equal((await asked).type, 'reply');
  const isNew = (name: string): boolean => name.startsWith('checkpoint-') && !before.has(name);
  await until('a checkpoint is made', () => waits > 1 && names().some(isNew));
  assert.deepEqual(manager.evidence.incidents.latest(), []);
});

void test('P6: no replica is blamed for a state that the disk does not give', async () => {
  // Can be opened, but not be read.
  await using group = await startGroup({ base: { write: mkdirSync, digest: null } });
  const { manager } = group;
  const { code, message } = await new Promise<SpareError>((resolve) => (manager.onHalt = resolve));
  assert.equal(code, 'storage-failed');
  assert.match(message, /EISDIR/);
  assert.deepEqual(manager.evidence.incidents.latest(), []);
});

void test('P5 P6: no replica is blamed for a state that is not what was written, and none begins with it', async () => {
  const write = (path: string): void => writeFileSync(path, 'something else');
  await using group = await startGroup({ base: { write, digest: 'the digest of what was written' } });
  const { manager } = group;
  const { code, message } = await new Promise<SpareError>((resolve) => (manager.onHalt = resolve));
  assert.equal(code, 'data-folder-damaged');
  assert.match(message, /data\/base is not what was written there/);
  assert.deepEqual(manager.evidence.incidents.latest(), []);
});

void test('P6: a damaged image is one incident, whatever is found of it while it is repaired', async () => {
  let refused = 0;
  let damaged = false;
  const change = (driver: Driver): Driver => ({
    ...driver,
    start: async (spec) => {
      if (!damaged) return await driver.start(spec);
      refused++;
      throw new SpareError('image-damaged', `File ${refused} is gone.`, { hint: 'Build it again.' });
    },
  });
  await using group = await wholeGroup({ change });
  const { manager } = group;
  const images = (): string[] =>
    manager.evidence.incidents.latest().flatMap(({ kind, what }) => (kind === 'image' ? [what] : []));
  const breakOnce = async (times: number): Promise<void> => {
    await until('it is whole', () => manager.health.whole());
    damaged = true;
    killActive(manager);
    await until('starts are refused', () => refused >= times);
    damaged = false;
  };
  await breakOnce(3);
  assert.deepEqual(images(), ['File 1 is gone. Build it again.']);
  const before = refused;
  await breakOnce(before + 2);
  assert.deepEqual(images(), [
    'File 1 is gone. Build it again.',
    `File ${before + 1} is gone. Build it again.`,
  ]);
});

void test('a group ends, though what its replicas would start from is not compared to the end', async () => {
  let checks = 0;
  const check = (): Promise<never> => {
    checks++;
    return new Promise(() => {});
  };
  await using group = await startGroup({ check });
  await until('all are to start', () => checks === 4);
  await group.manager.close(AbortSignal.abort());
});

void test('I1: what a rotation checked before it began holds for one start, that of its clean replica', async () => {
  const checks = counted();
  await using group = await wholeGroup({ check: checks.check });
  const { manager } = group;
  const before = checks.count();
  const [oldest] = manager.view().replicas;
  await manager.recover(oldest?.id ?? '');
  assert.equal(checks.count(), before + 1);
  killActive(manager);
  await until('a replica that was lost is replaced', () => checks.count() > before + 1);
});

void test('P3: one whose service made at its start what a request has changed sleeps for minutes at most', async (context) => {
  const dayMs = 86_400_000;
  await using group = await wholeGroup({ keeperMs: NEVER, recovery: { everyMs: dayMs, spreadMs: dayMs } });
  const { manager } = group;
  const roles = (): string[] =>
    manager
      .view()
      .replicas.map(({ id, role }) => `${id} ${role}${manager.isOutdated(id) ? ' outdated' : ''}`);
  manager.submit(null, REQUEST, () => {});
  const outdated = ['r0 active', 'r1 active', 'r2 passive outdated', 'r3 passive outdated'];
  await until('it is known of both', () => roles().join() === outdated.join());
  assert.equal(manager.rotations.underWay, null);
  const now = performance.now.bind(performance);
  context.mock.method(performance, 'now', () => now() + 20 * 60_000);
  await until('both are replaced', () => manager.rotations.done === 2);
  assert.deepEqual(roles(), ['r0 active', 'r1 active', 'r4 passive', 'r5 passive']);
});

void test('P6: one that is replaced while a new version comes up is said to be once a clean one of its own version sleeps', async () => {
  const [asked, allowed] = [Promise.withResolvers<void>(), Promise.withResolvers<readonly string[]>()];
  let check = async (): Promise<readonly string[]> => [];
  await using group = await wholeGroup({ check: () => check() });
  const { manager } = group;
  const before = manager.view().replicas.map(({ id }) => id);
  const [oldest = replicaId('')] = before;
  const recovering = manager.recover(oldest);
  await until('it has begun', () => manager.rotations.underWay !== null);
  // That of the clean one: what was checked ahead is not kept over the start of another version.
  check = async () => {
    asked.resolve();
    return await allowed.promise;
  };
  let starts = 0;
  const checkNew = async (): Promise<readonly string[]> => {
    await (starts++ === 0 ? asked.promise : new Promise(() => {}));
    return [];
  };
  manager.deploy({ variants: [imageIn(group.folder)], digest: 'new', check: checkNew }).catch(() => {});
  await until('of the new version one sleeps, and the next one starts', () => starts === 2);
  assert.equal(manager.rotations.underWay, oldest);
  allowed.resolve([]);
  const { clean, by } = await recovering;
  // Of the new version are r4 to r7.
  assert.deepEqual([clean, by !== null && before.includes(by)], ['r8', true]);
});

void test('P6: who asked for a replacement is told where the clean one may not start, and the group is repaired once it may', async () => {
  let isDamaged = false;
  const change = (driver: Driver): Driver => ({
    ...driver,
    start: async (spec) => {
      if (!isDamaged) return await driver.start(spec);
      throw new SpareError('image-damaged', 'A file is gone.', { hint: 'Build it again.' });
    },
  });
  await using group = await wholeGroup({ change });
  const { manager } = group;
  const [oldest = replicaId('')] = manager.view().replicas.map(({ id }) => id);
  isDamaged = true;
  await assert.rejects(manager.recover(oldest), {
    code: 'image-damaged',
    message: `${oldest} was taken out, and no clean replica may start: A file is gone.`,
    hint: 'Build it again.',
  });
  assert.equal(manager.rotations.underWay, null);
  isDamaged = false;
  await until('it is whole again', () => manager.health.whole());
});

void test('P5: once it is found that a change on disk was undone, whoever is missing is started at once', async () => {
  let checks = 0;
  let isChanged = false;
  const check = async (): Promise<readonly string[]> => {
    checks++;
    if (!isChanged) return [];
    throw new SpareError('image-changed', 'It was changed.', { hint: 'Undo that.' });
  };
  await using group = await wholeGroup({ check });
  isChanged = true;
  const before = checks;
  killActive(group.manager);
  await until('starts are refused', () => checks >= before + 8);
  isChanged = false;
  const refused = checks;
  const since = performance.now();
  group.manager.imageChanged(null);
  await until('it is tried again', () => checks > refused);
  // It would be after 4 s by itself.
  assert.ok(performance.now() - since < 3000);
  await until('it is whole again', () => group.manager.health.whole());
});

void test('P6: none is to be replaced while a new version comes up, and so what that changed on disk is no incident', async () => {
  const checks = counted();
  await using group = await wholeGroup({ check: checks.check });
  const { manager } = group;
  const before = checks.count();
  const never = new Promise<never>(() => {});
  manager.deploy({ variants: [imageIn(group.folder)], digest: 'new', check: () => never }).catch(() => {});
  const [oldest] = manager.view().replicas;
  await assert.rejects(manager.recover(oldest?.id ?? ''), { code: 'deploy-under-way' });
  assert.equal(checks.count(), before);
});

void test('Z1: who deploys while the group ends is told that the new version has not taken over', async () => {
  const group = await wholeGroup();
  await group[Symbol.asyncDispose]();
  const check = async (): Promise<readonly string[]> => [];
  const next = { variants: [imageIn(group.folder)], digest: 'new', check };
  await assert.rejects(group.manager.deploy(next), {
    code: 'admin-failed',
    message: 'The group ended before the new version had taken over.',
  });
});

void test('what looks how much room a new version would take ends with the group', async (context) => {
  await using group = await wholeGroup();
  const pids = join(group.folder, 'pids');
  replaceTool(context, group.folder, 'du', `echo $$ >> ${pids}\nexec sleep 60`);
  const checking = group.manager.checkRoom();
  const found = (): string[] => (existsSync(pids) ? readFileSync(pids, 'utf8').trim().split('\n') : []);
  await until('both are looked at', () => found().length === 2);
  await group.manager.close(AbortSignal.abort());
  assert.equal(await Promise.race([checking, delay(2000, 'goes on', { ref: false })]), undefined);
  await until('nothing is left', () => found().every((pid) => readStat(Number(pid)) === undefined));
});

void test('a backup that is being made when the group ends is given up, and who asked for it is told so', async () => {
  await using group = await wholeGroup();
  const { manager } = group;
  const [base, unfinished] = [join(group.dataFolder, 'base'), join(group.dataFolder, 'backup.new')];
  writeFileSync(base, '');
  truncateSync(base, LARGE_BYTES);
  const told = assert.rejects(manager.backups.make(new AbortController().signal), {
    code: 'backup-failed',
    message: 'The backup could not be made: the group has ended.',
  });
  const bytes = (): number => statSync(unfinished, { throwIfNoEntry: false })?.size ?? 0;
  await until('it has begun', () => bytes() > 8 * MIB);
  await manager.close(AbortSignal.abort());
  assert.equal(existsSync(unfinished), false);
  await told;
});

void test('so is one whose first half, the copy of the store, is still on its way', async () => {
  await using group = await startGroup();
  const { manager } = group;
  const told = assert.rejects(manager.backups.make(new AbortController().signal), {
    code: 'backup-failed',
    message: 'The backup could not be made: the group has ended.',
  });
  await manager.close(AbortSignal.abort());
  await told;
});

void test('P2 P6: no replica is blamed that ends where the disk is full: the group ends, and says why', async (context) => {
  await using group = await wholeGroup();
  const { manager } = group;
  fillDisk(context);
  const { code, message } = await endedBy(manager);
  assert.deepEqual(
    [code, message],
    ['storage-failed', `Using ${group.dataFolder} failed: its disk is full.`],
  );
  assert.deepEqual(manager.evidence.incidents.latest(), []);
});

void test('P2 P6: no replica is blamed that cannot be started for want of room, though there is some again once it was given up', async () => {
  let isFull = false;
  const change = (driver: Driver): Driver => ({
    ...driver,
    start: async (spec) => {
      if (!isFull) return await driver.start(spec);
      const cause = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      throw new SpareError('domain-start-failed', 'The domain did not start.', { hint: '', cause });
    },
  });
  await using group = await wholeGroup({ change });
  const { manager } = group;
  isFull = true;
  assert.equal((await endedBy(manager)).code, 'storage-failed');
  assert.equal(manager.evidence.incidents.latest().length, 1, 'of the one that was killed');
});

void test('a skip of which nothing else is known, as after a restore, is told of in whole words', async () => {
  const seed = Buffer.alloc(32);
  const skip = { type: 'skip', index: toIndex(1), reason: 'poison' } as const;
  const ordered = [
    encodeBare('start', 1, seed),
    encodeRequestEntry(null, REQUEST, 1, seed),
    encodeCommand(skip, 1, seed),
  ];
  await using group = await wholeGroup({ ordered });
  const told = group.manager.evidence.incidents.latest().map(({ what }) => what);
  assert.deepEqual(told, ['it ended every replica that executed it']);
});

void test('P5: why a new version did not take over is what its own replica failed of, whatever happened to others before', async () => {
  await using group = await wholeGroup();
  const { manager } = group;
  killActive(manager);
  await until('it was found', () => manager.evidence.incidents.latest().length === 1);
  await until('it is whole again', () => manager.health.whole());
  // As one that was told before, of the old version, and so is not written up again.
  const check = async (): Promise<never> => {
    throw new SpareError('image-changed', 'It has changed again.', { hint: '' });
  };
  await assert.rejects(manager.deploy({ variants: [imageIn(group.folder)], digest: 'new', check }), {
    code: 'deploy-failed',
    message: 'The new version did not take over: It has changed again.',
  });
});
