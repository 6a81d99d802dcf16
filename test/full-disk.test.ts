/** Does a disk that fails while Spare runs end it in words that a person understands, whatever is being written? */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite, test } from 'node:test';
import type { Status } from '../src/admin/admin.ts';
import type { CaseView } from '../src/evidence/read.ts';
import { Call, Place } from './support/call.ts';
import { add, LEDGER } from './support/ledger.ts';
import { SERVICES, signalTree } from './support/spare.ts';

/** Bytes that a client sends at a time: a few of them make a checkpoint. */
const LINE_BYTES = 8 * 1024 ** 2;
const LONG_LINES = { ...LEDGER, limits: { bodyBytes: LINE_BYTES, replyBytes: 2 * LINE_BYTES } };
/** More than there are entries before the first checkpoint. */
const ENTRIES_MAX = 1000;

/** Of the replicas' agents. */
async function pidsOf(status: string): Promise<number[]> {
  const { replicas } = (await (await fetch(status)).json()) as Status;
  return replicas.flatMap(({ pid }) => pid ?? []);
}

/** What stands in the way in the data folder, and the error of the system that comes of it. */
const FAILURES: Readonly<Record<string, { why: string; prepare: (data: string, pids: number[]) => void }>> = {
  'no file can be made for an export': {
    why: 'EISDIR',
    prepare: (data) => mkdirSync(join(data, 'export-r2')),
  },
  'there is no room for an export': {
    why: 'ENOSPC',
    prepare: (data) => symlinkSync('/dev/full', join(data, 'export-r2')),
  },
  'a checkpoint cannot be made durable': {
    why: 'EISDIR',
    prepare: (data) => {
      for (let index = 0; index < ENTRIES_MAX; index++) mkdirSync(join(data, `checkpoint-${index}`));
    },
  },
  'an incident cannot be written down': {
    why: 'ENOSPC',
    prepare: (data, [pid = 0]) => {
      symlinkSync('/dev/full', join(data, 'incidents.jsonl'));
      signalTree(pid, 'SIGKILL');
    },
  },
  'nothing can be removed, as where the file system has become read-only': {
    why: 'ENOSPC',
    prepare: (data, [pid = 0]) => {
      rmSync(join(data, 'admin.json'));
      mkdirSync(join(data, 'admin.json'));
      symlinkSync('/dev/full', join(data, 'incidents.jsonl'));
      signalTree(pid, 'SIGKILL');
    },
  },
};

/** Failed at the data folder for that reason, and nothing is left. */
async function endsOf(call: Call, data: string, why: string): Promise<void> {
  assert.equal(await call.end(), 1, call.stderr);
  const [error = '', hint = '', ...more] = call.stderr.split('\n');
  assert.match(error, new RegExp(`^spare: Using ${data} failed: ${why}: `));
  assert.ok(error.endsWith('[storage-failed]'), call.stderr);
  assert.match(hint, /Free space .* start again/);
  assert.deepEqual(more, [''], 'nothing else is said');
  assert.deepEqual(await call.left(), []);
}

/** A file system in memory with little room; undefined where the test may not mount one. */
class SmallDisk implements Disposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static mount(folder: string): SmallDisk | undefined {
    mkdirSync(folder);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1g', 'spare-test', folder]);
    return mounted.status === 0 ? new SmallDisk(folder) : undefined;
  }

  /** From now on there is room for so much more. */
  leave(freeBytes: number): void {
    const { blocks, bfree, bsize } = statfsSync(this.#folder);
    const size = (blocks - bfree) * bsize + freeBytes;
    const { status } = spawnSync('mount', ['-o', `remount,size=${size}`, this.#folder]);
    assert.equal(status, 0);
  }

  [Symbol.dispose](): void {
    spawnSync('umount', ['-l', this.#folder]);
  }
}

for (const freeBytes of [0, 64 * 1024])
  test(`P2: a group that is started with a full disk (${freeBytes} bytes left) ends in plain words`, async (t) => {
    using place = new Place().configure({ ...LONG_LINES, data: 'disk/data' });
    const disk = join(place.folder, 'disk');
    using small = SmallDisk.mount(disk);
    if (small === undefined) return t.skip('nothing may be mounted');
    {
      await using call = place.run();
      await call.ready();
      call.kill('SIGTERM');
      assert.equal(await call.end(), 0);
    }
    small.leave(freeBytes);
    await using call = place.run();
    await endsOf(call, join(disk, 'data'), 'ENOSPC');
  });

test('P2: a first start on a full disk is told to make room, not to choose another folder, and leaves none', async (t) => {
  using place = new Place().configure({ ...LONG_LINES, data: 'disk/data' });
  const disk = join(place.folder, 'disk');
  using small = SmallDisk.mount(disk);
  if (small === undefined) return t.skip('nothing may be mounted');
  small.leave(4096);
  await using call = place.run();
  assert.equal(await call.end(), 1);
  assert.match(
    call.stderr,
    /^spare: Using .*spare\.db failed: .*full\. \[storage-failed\]\n {2}Free space .*\n$/,
  );
  assert.deepEqual(readdirSync(disk), []);
  return undefined;
});

test('P2: where there is no room to try what isolates, that is told, not that the data folder is full', async (t) => {
  using place = new Place().configure(LONG_LINES);
  const disk = join(place.folder, 'disk');
  using small = SmallDisk.mount(disk);
  if (small === undefined) return t.skip('nothing may be mounted');
  small.leave(4096);
  const usual = process.env['TMPDIR'];
  process.env['TMPDIR'] = disk;
  t.after(() => (usual === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = usual)));
  await using call = place.run();
  assert.equal(await call.end(), 1);
  assert.match(
    call.stderr,
    /^spare: Isolation by .* cannot be tried: ENOSPC.*\. \[domain-start-failed\]\n {2}That needs room in .*disk \(TMPDIR/,
  );
  return undefined;
});

test('P2: a backup is not begun where the group would be without room to go on; the group answers, and with room it is made', async (t) => {
  using place = new Place().configure({ ...LONG_LINES, data: 'disk/data' });
  const disk = join(place.folder, 'disk');
  using small = SmallDisk.mount(disk);
  if (small === undefined) return t.skip('nothing may be mounted');
  await using call = place.run();
  const { service: url } = await call.ready();
  await add(url, 'x'.repeat(LINE_BYTES));
  small.leave(8 * LINE_BYTES);
  const target = join(place.folder, 'a.backup');
  const backup = (): Call => new Call(place.folder, ['backup', '--data', join(disk, 'data'), target]);
  {
    await using refused = backup();
    const ended = refused.end();
    for (let i = 0; i < 100; i++) await add(url, 'y'.repeat(100));
    assert.equal(await ended, 1);
    assert.match(refused.stderr, /\d+ MiB are missing.*\[backup-failed\]/);
  }
  await add(url, 'after it');
  assert.equal(call.stderr, '');
  small.leave(1024 ** 3);
  await using made = backup();
  assert.equal(await made.end(), 0, made.stderr);
  return undefined;
});

test('P2: a deploy is not begun where its copies of the state would fill the disk; the group answers under load, and with room it is done', async (t) => {
  const service = readFileSync(join(SERVICES, 'ledger.mjs'), 'utf8');
  using place = new Place().write('service/server.mjs', service);
  place.configure({ ...LONG_LINES, folder: 'service', command: ['node', 'server.mjs'], data: 'disk/data' });
  const disk = join(place.folder, 'disk');
  using small = SmallDisk.mount(disk);
  if (small === undefined) return t.skip('nothing may be mounted');
  await using call = place.run();
  const { service: url } = await call.ready();
  for (let i = 0; i < 8; i++) await add(url, 'x'.repeat(LINE_BYTES));
  place.write('service/server.mjs', `${service}// 2`);
  const deploy = (): Call => new Call(place.folder, ['deploy', '--data', join(disk, 'data')]);
  // Of four copies it would take three and a half.
  small.leave(28 * LINE_BYTES);
  {
    await using refused = deploy();
    const over = new AbortController();
    const ended = refused.end().finally(() => over.abort());
    while (!over.signal.aborted) await add(url, 'y'.repeat(1000));
    assert.equal(await ended, 1);
    assert.match(refused.stderr, /takes \d+ MiB.*\b\d+ MiB are free.*\[deploy-failed\]/);
  }
  await add(url, 'after it');
  assert.equal(call.stderr, '');
  small.leave(1024 ** 3);
  await using done = deploy();
  assert.equal(await done.end(), 0, done.stderr);
  return undefined;
});

test('P2 P6: the state before a lie is not made anew where that would fill the disk: the group answers under load, and the incident says why', async (t) => {
  const service = readFileSync(join(SERVICES, 'ledger.mjs'), 'utf8');
  using place = new Place().write(
    'service/server.mjs',
    service.replace('run(name', 'run(process.env.LIE ?? name'),
  );
  {
    using database = new DatabaseSync(join(place.folder, 'service/ledger.db'));
    database.exec(
      `pragma journal_mode = wal; create table large (bytes); insert into large values (zeroblob(${8 * LINE_BYTES}))`,
    );
  }
  const [data, variants] = ['disk/data', [{}, { env: { LIE: 'lie' } }, {}]];
  place.configure({ ...LEDGER, folder: 'service', command: ['node', 'server.mjs'], variants, data });
  const disk = join(place.folder, 'disk');
  using small = SmallDisk.mount(disk);
  if (small === undefined) return t.skip('nothing may be mounted');
  await using call = place.run();
  const { service: url, status } = await call.ready();
  // Of a state it would take one more.
  small.leave(7 * LINE_BYTES);
  await add(url, 'sound');
  const comparisons = async (): Promise<CaseView['comparisons']> =>
    ((await (await fetch(status.replace('status', 'incidents/1'))).json()) as CaseView).comparisons;
  while ((await comparisons()) === null) await add(url, 'y'.repeat(1000));
  for (let i = 0; i < 100; i++) await add(url, 'after it');
  assert.match((await comparisons())?.[0]?.unnamed ?? '', /^it takes \d+ bytes, and there is room for 0$/);
  assert.equal(call.stderr, '');
  return undefined;
});

/** Writes 8 MiB when it starts, after a second. */
const LATE_WRITER = `
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
const database = new DatabaseSync('app.db');
database.exec('create table if not exists large (bytes)');
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
database.exec('insert into large values (zeroblob(${LINE_BYTES}))');
createServer((request, response) => response.end('hello')).listen(process.env.PORT);`;

test('P2: where a copy does not start because the disk is full, the group ends; the state is not what it failed of', async (t) => {
  using place = new Place().write('service/server.mjs', LATE_WRITER);
  place.configure({
    folder: 'service',
    command: ['node', 'server.mjs'],
    state: ['app.db'],
    data: 'disk/data',
  });
  const disk = join(place.folder, 'disk');
  using small = SmallDisk.mount(disk);
  if (small === undefined) return t.skip('nothing may be mounted');
  await using call = place.run();
  const { status } = await call.ready();
  const [pid = 0] = await pidsOf(status);
  signalTree(pid, 'SIGKILL');
  const starting = join(disk, 'data/domains/r4/work/app.db');
  await call.until(() => existsSync(starting));
  small.leave(LINE_BYTES / 2);
  assert.equal(await call.end(), 1, call.stderr);
  assert.match(call.stderr, /failed: .*full\.? \[storage-failed\]\n/);
  assert.doesNotMatch(call.stdout, /starts once more/);
  return undefined;
});

suite('P2: the group ends with `storage-failed`, says where and what to do, and leaves no process', () => {
  for (const [name, { why, prepare }] of Object.entries(FAILURES)) {
    test(name, async () => {
      using place = new Place().configure(LONG_LINES);
      const data = join(place.folder, 'data');
      await using call = place.run();
      const { service: url, status } = await call.ready();
      prepare(data, await pidsOf(status));
      const body = 'x'.repeat(LINE_BYTES);
      try {
        for (let i = 0; i < ENTRIES_MAX; i++) await fetch(`${url}/entries`, { method: 'POST', body });
      } catch {
        // Clients are cut off.
      }
      await endsOf(call, data, why);
    });
  }

  test('an old state cannot be removed once a clean replica has read the one in force; that one is not blamed', async () => {
    using place = new Place().configure(LONG_LINES);
    const data = join(place.folder, 'data');
    await using call = place.run();
    const { status } = await call.ready();
    mkdirSync(join(data, 'checkpoint-0'));
    const [pid = 0] = await pidsOf(status);
    signalTree(pid, 'SIGKILL');
    await endsOf(call, data, 'Path is a directory');
    assert.equal(call.stdout.match(/^incident {3}/gm)?.length, 1, call.stdout);
  });
});

/** What lies in the data folder at a start, and can be neither removed nor used. */
const OBSTACLES = ['checkpoint-9', 'export-r9', 'incidents.jsonl', 'admin.json'];

test('P2: what lies in the data folder and cannot be removed, or not be read, ends a start in plain words; without it the next one starts', async () => {
  using place = new Place().configure(LONG_LINES);
  const data = join(place.folder, 'data');
  const starts = async (): Promise<void> => {
    await using call = place.run();
    await call.ready();
    call.kill('SIGTERM');
    assert.equal(await call.end(), 0, call.stderr);
  };
  await starts();
  for (const name of OBSTACLES) {
    mkdirSync(join(data, name));
    await using call = place.run();
    await endsOf(call, data, '(Path is a directory|EISDIR)');
    rmSync(join(data, name), { recursive: true });
  }
  await starts();
});

const HELLO = `
import { createServer } from 'node:http';
createServer((request, response) => response.end('hello')).listen(process.env.PORT);`;

test('Z1: a version that did not take over is no longer accepted, though there is no room to accept anything: a restart begins with the old one', async () => {
  using place = new Place().write('service/server.mjs', HELLO);
  place.configure({ folder: 'service', command: ['node', 'server.mjs'], state: [] });
  const image = join(place.folder, 'data/image.json');
  const accepted = (): string => readFileSync(image, 'utf8');
  {
    await using call = place.run();
    await call.ready();
    const before = accepted();
    place.write('service/server.mjs', `process.exit(3);`);
    await using deploy = new Call(place.folder, ['deploy', '--config', 'spare.config.mjs']);
    const ended = deploy.end();
    await call.until(() => accepted() !== before);
    // What is to be accepted from now on finds the disk full.
    symlinkSync('/dev/full', `${image}.new`);
    assert.equal(await ended, 1);
    assert.match(deploy.stderr, /did not take over[^]*\[deploy-failed\]/);
    assert.equal(accepted(), before);
    call.kill('SIGTERM');
    assert.equal(await call.end(), 0, call.stderr);
  }
  place.write('service/server.mjs', HELLO);
  await using call = place.run();
  await call.ready();
  const ofImage = place.files().filter((name) => name.startsWith('data/image.json'));
  assert.deepEqual(ofImage, ['data/image.json'], 'nothing is left');
});
