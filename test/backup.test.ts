/**
 * Is everything that was acknowledged back, when all is lost but a backup that was made under load? And is what cannot be
 * restored refused, without a trace?
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempDisposableSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Store } from '../src/ordering/store.ts';
import { archiveBytes, writeArchive } from '../src/replica/state/archive.ts';
import { encodeBare } from '../src/wire/entry.ts';
import { Call } from './support/call.ts';
import { add, LEDGER, type Line, lines } from './support/ledger.ts';
import { PATIENCE_MS, removeAll, ROOT, SERVICES, signalTree, Spare } from './support/spare.ts';

const CLIENTS = 6;

/** What `spare` says; it must succeed. */
async function says(...args: string[]): Promise<string> {
  await using call = new Call(ROOT, args);
  assert.equal(await call.end(), 0, call.stderr);
  return call.stdout;
}

const digestIn = (output: string): string =>
  /^digest +([0-9a-f]{64})$/m.exec(output)?.[1] ?? assert.fail(output);

/** Clients that write until it is over; `acknowledged` grows. */
function load(url: string, acknowledged: Line[], over: AbortSignal): Promise<unknown> {
  const client = async (_: unknown, id: number): Promise<void> => {
    for (let i = 0; !over.aborted; i++) acknowledged.push(await add(url, `${id}-${i}`));
  };
  return Promise.all(Array.from({ length: CLIENTS }, client));
}

test('P2: what was acknowledged before a backup under load is back after all else is lost, keys and order with it', async () => {
  await using spare = await new Spare(LEDGER).start();
  const file = join(spare.data, '../ledger.backup');
  const keyed = await add(spare.url, 'once', 'a-key');
  const acknowledged: Line[] = [keyed];
  const over = new AbortController();
  const writing = load(spare.url, acknowledged, over.signal);
  await spare.until('much is written', PATIENCE_MS, () => acknowledged.length > 600);
  const before = [...acknowledged];
  const made = digestIn(await says('backup', '--config', spare.configFile, file));
  over.abort();
  await writing;
  await spare.whole();
  assert.deepEqual(await spare.incidents(), []);
  assert.equal(existsSync(join(spare.data, 'backup.new')), false);

  await spare.signal('SIGKILL');
  removeAll(spare.data);
  assert.equal(digestIn(await says('restore', '--config', spare.configFile, file)), made);
  assert.equal(
    digestIn(await says('backup', '--data', spare.data, `${file}.2`)),
    made,
    'of what was restored',
  );

  await spare.start();
  const restored = await lines(spare.url);
  const names = new Map(restored.map(({ number, name }) => [number, name]));
  for (const { number, name } of before) assert.equal(names.get(number), name);
  assert.ok(restored.length <= acknowledged.length, 'nothing was executed twice');
  assert.deepEqual(await add(spare.url, 'once', 'a-key'), keyed, 'answered from the log');
  assert.equal((await add(spare.url, 'next')).number, restored.length + 1);
  await spare.whole();
  assert.deepEqual(await spare.incidents(), []);
});

/** Whether the store knows of a checkpoint: that is written down when its file is durable. */
function isInForce(data: string): boolean {
  return ['spare.db', 'spare.db-wal'].some((name) =>
    readFileSync(join(data, name)).includes('"file":"checkpoint-'),
  );
}

test('P2 P4: a backup begins with the checkpoint; of a stopped group, too', async () => {
  await using spare = await new Spare(LEDGER).start();
  const file = join(spare.data, '../ledger.backup');
  const text = 'x'.repeat(400_000);
  for (let i = 0; i < 100; i++) await add(spare.url, text);
  const checkpoint = (): boolean => readdirSync(spare.data).some((name) => name.startsWith('checkpoint-'));
  await spare.until('there is a checkpoint', PATIENCE_MS, () => checkpoint() && isInForce(spare.data));
  const last = await add(spare.url, 'after the checkpoint');
  await spare.signal('SIGINT');
  await says('backup', '--data', spare.data, file);
  await using refused = new Call(ROOT, ['restore', '--config', spare.configFile, file]);
  assert.equal(await refused.end(), 1);
  assert.match(refused.stderr, /\[data-folder-not-empty\]/);
  assert.ok(checkpoint(), 'nothing was changed');
  removeAll(spare.data);
  await says('restore', '--config', spare.configFile, file);
  assert.ok(checkpoint());
  const out = join(spare.data, '../out');
  const exported = await says('export', '--config', spare.configFile, file, out);
  assert.match(exported, /^exported .*\/out, up to entry \d+, as it was at .*\ndigest +[0-9a-f]{64}\n$/);
  using plain = new DatabaseSync(join(out, 'ledger.db'), { readOnly: true });
  assert.deepEqual({ ...plain.prepare('select count(*) as lines from entries').get() }, { lines: 101 });
  plain.close();
  copyFileSync(join(SERVICES, 'ledger.mjs'), join(out, 'ledger.mjs'));
  await using founded = await new Spare({ ...LEDGER, folder: out }).start();
  assert.equal((await add(founded.url, 'of a new group')).number, 102);
  await spare.start();
  const size = async (): Promise<unknown> => (await fetch(`${spare.url}/size`)).json();
  assert.deepEqual(await size(), { lines: 101, bytes: 100 * text.length + last.name.length });
  await spare.whole();
  assert.deepEqual(await spare.incidents(), []);
});

/** A data folder of a group that has begun. */
async function begin(data: string, service = 'the service of this test'): Promise<void> {
  const { store } = await Store.open(join(data, 'spare.db'), service);
  store.writeEntry(0, encodeBare('start', 1, Buffer.alloc(32)));
  await store.close();
}

test('P2: one backup at a time, until it is in its place: another call is refused, and disturbs nothing', async (context) => {
  const elsewhere = '/dev/shm';
  const isOther = existsSync(elsewhere) && statSync(elsewhere).dev !== statSync(tmpdir()).dev;
  if (!isOther) return context.skip('there is no other file system to copy to');
  using data = mkdtempDisposableSync(join(tmpdir(), 'spare-backup-'));
  using target = mkdtempDisposableSync(join(elsewhere, 'spare-backup-'));
  await begin(data.path);
  const file = join(target.path, 'a.backup');
  execFileSync('sh', ['-c', 'mkfifo "$0"', `${file}.new`]);
  await using first = new Call(ROOT, ['backup', '--data', data.path, file]);
  // It is made; its copy waits for who reads the pipe.
  const made = join(data.path, 'backup.new');
  await first.until(() => existsSync(made) && !existsSync(join(data.path, 'spare.db-wal')));
  await using second = new Call(ROOT, ['backup', '--data', data.path, `${file}.2`]);
  assert.equal(await second.end(), 1);
  assert.match(second.stderr, /\[backup-under-way\]/);
  assert.deepEqual(readdirSync(target.path), ['a.backup.new']);
  assert.ok(existsSync(made), 'it is copied still');
  first.kill('SIGINT');
  assert.equal(await first.end(), 'SIGINT');
  assert.deepEqual(readdirSync(target.path), [], 'nothing is left of it');
  assert.equal(existsSync(made), false);
  await says('backup', '--data', data.path, `${file}.2`);
  return undefined;
});

test('P2: a backup into the service folder, where it would keep replicas from starting, is refused', async () => {
  using site = mkdtempDisposableSync(join(tmpdir(), 'spare-site-'));
  copyFileSync(join(SERVICES, 'ledger.mjs'), join(site.path, 'ledger.mjs'));
  mkdirSync(join(site.path, 'lib'));
  await using spare = await new Spare({ ...LEDGER, folder: site.path }).start();
  for (const name of ['a.backup', 'lib/a.backup']) {
    await using call = new Call(site.path, ['backup', '--data', spare.data, name]);
    assert.equal(await call.end(), 1);
    assert.match(call.stderr, /a\.backup: replicas start from .*\[backup-failed\]\n.*service folder/);
  }
  assert.deepEqual(readdirSync(site.path).sort(), ['ledger.mjs', 'lib']);
  await says('backup', '--data', spare.data, join(spare.data, '../a.backup'));
  assert.match(await says('recover', 'r0', '--data', spare.data), /^rotated/);
});

/** Of a state that takes seconds to back up. */
const LARGE_BYTES = 2 * 1024 ** 3;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
  test(`a backup of a stopped group that is ended by ${signal} keeps nobody from the next; nothing is left where it could be told`, async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-backup-'));
    const data = join(place.path, 'data');
    mkdirSync(data);
    await begin(data);
    const base = join(data, 'base');
    writeFileSync(base, '');
    truncateSync(base, LARGE_BYTES);
    const file = join(place.path, 'a.backup');
    await using call = new Call(ROOT, ['backup', '--data', data, file]);
    const made = join(data, 'backup.new');
    const bytes = (): number => statSync(made, { throwIfNoEntry: false })?.size ?? 0;
    await call.until(() => bytes() > 8 * 1024 ** 2);
    // Who starts the group meanwhile is told what to wait for.
    await assert.rejects(Store.open(join(data, 'spare.db'), null), {
      hint: /wait for it if it is a `spare backup`/,
    });
    call.kill(signal);
    assert.equal(await call.end(), signal);
    assert.equal(call.stderr, '');
    assert.deepEqual(readdirSync(place.path), ['data']);
    if (signal !== 'SIGKILL') assert.deepEqual(readdirSync(data), ['backup.lock', 'base', 'spare.db']);
    truncateSync(base, 1000);
    await says('backup', '--data', data, file);
    assert.deepEqual(readdirSync(data), ['backup.lock', 'base', 'spare.db']);
  });
}

test('an export that is interrupted leaves nothing behind', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-backup-'));
  const data = join(place.path, 'data');
  const file = join(place.path, 'a.backup');
  const out = join(place.path, 'out');
  mkdirSync(data);
  await begin(data, 'the service of this test, state: a.db');
  const base = join(data, 'base');
  const pages = { pageSize: 4096, pageCount: LARGE_BYTES / 4 / 4096, read: () => Buffer.alloc(4096) };
  // All but the first page is a hole.
  for (const bytes of writeArchive([pages], 4096).take(1)) writeFileSync(base, bytes);
  truncateSync(base, archiveBytes([pages]));
  await says('backup', '--data', data, file);
  await using call = new Call(ROOT, ['export', '--state', 'a.db', '--data', data, file, out, '--', 'node']);
  const files = (): string[] => readdirSync(place.path, { recursive: true, encoding: 'utf8' });
  await call.until(() => files().some((name) => name.endsWith('a.db')));
  call.kill('SIGINT');
  assert.equal(await call.end(), 'SIGINT');
  assert.equal(call.stderr, '');
  assert.deepEqual(readdirSync(place.path).sort(), ['a.backup', 'data']);
});

/** The data folder, and all files in it, that others may enter or read, but for what copies see themselves. */
function openToOthers(data: string): string[] {
  const filesIn = (folder: string): string[] =>
    readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return path === join(data, 'domains') ? [] : filesIn(path);
      return entry.isFile() ? [path] : [];
    });
  // What is gone meanwhile is open to nobody.
  const isOpen = (path: string): boolean =>
    ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o077) !== 0;
  return [data, ...filesIn(data)].filter(isOpen);
}

test('what a group keeps, a backup of it, and what is restored are for its user alone, also in a folder that others could enter', async () => {
  process.umask(0o022);
  await using spare = new Spare(LEDGER);
  mkdirSync(spare.data);
  chmodSync(spare.data, 0o755);
  await spare.start();
  signalTree((await spare.victim()).pid, 'SIGKILL');
  await add(spare.url, 'mine');
  await spare.until('the evidence is written', PATIENCE_MS, () =>
    existsSync(join(spare.data, 'incidents/1')),
  );
  const file = join(spare.data, '../ledger.backup');
  await says('backup', '--config', spare.configFile, file);
  assert.deepEqual(openToOthers(spare.data), []);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  await spare.signal('SIGKILL');
  removeAll(spare.data);
  mkdirSync(spare.data);
  await says('restore', '--config', spare.configFile, file);
  assert.deepEqual(openToOthers(spare.data), []);
});
