/** Is what is written up beside the manager's loop bounded, is who is to be told of it told, and does it end with it? */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempDisposableSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { digest } from '../core/index.ts';
import { Evidence } from './evidence.ts';
import { CASE_FILE, exhibitsOf, type Finds, PART_FILE } from './exhibits.ts';
import { Folders } from './folders.ts';
import type { HookOptions } from './hook.ts';
import { type Incident, Incidents } from './incidents.ts';
import type { CaseView } from './read.ts';
import type { StateBefore } from './scratch.ts';

const INCIDENT: Omit<Incident, 'id'> = {
  index: 8,
  replica: 'r1',
  variant: 0,
  kind: 'update',
  at: '2026-01-02T03:04:05.000Z',
  what: 'differs',
  done: 'expelled',
  console: '',
};
const MIB = 1024 ** 2;
const NOBODY = { command: [], folder: '/', webhook: null };
const ROOM = (): number => Infinity;
const NEVER = new AbortController().signal;

/** Of two votes whose updates differ. */
function finds(stateBefore: StateBefore): Finds {
  const vote = (update: string): Finds['votes'][number]['vote'] => ({
    reply: digest(''),
    update: digest(update),
  });
  const votes = ['r0', 'r1'].map((replica) => ({ replica, vote: vote(replica), atMs: 1 }));
  const bytes = (): Buffer => Buffer.from('update');
  return { entry: null, votes, decided: null, bytes, stateBefore, console: '' };
}

/** One comes as soon as the one before is taken. */
async function* endless(): AsyncGenerator<Buffer[]> {
  for (;;) yield [Buffer.alloc(1)];
}

void test('P7 V1: it is closed though the state before an incident is still being read, and what is known is kept', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const evidence = new Evidence(root.path, NOBODY, () => {}, ROOM);
  const { id } = evidence.add(INCIDENT, finds(endless));
  await evidence.close(NEVER);
  assert.equal((await evidence.read(id))?.evidence?.parts.length, 2);
  assert.ok(!existsSync(join(root.path, 'comparing')), 'what it had of it is removed');
});

void test('P6 I2: the number of an incident whose line was lost with the power, and whose folder was not, is not given again', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const list = join(root.path, 'incidents.jsonl');
  const add = async (): Promise<number> => {
    const evidence = new Evidence(root.path, NOBODY, () => {}, ROOM);
    const { id } = evidence.add(INCIDENT, { ...finds(endless), votes: [] });
    await evidence.close(NEVER);
    return id;
  };
  assert.equal(await add(), 1);
  const lines = readFileSync(list);
  assert.equal(await add(), 2);
  writeFileSync(list, lines);
  assert.equal(await add(), 3);
  assert.deepEqual(readdirSync(join(root.path, 'incidents')).sort(), ['1', '2', '3']);
});

void test('P7: of more than may wait to be written only who voted what is kept, and of later ones all again', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const evidence = new Evidence(root.path, NOBODY, () => {}, ROOM);
  const large = Buffer.alloc(16 * MIB);
  const add = (): number => evidence.add(INCIDENT, { ...finds(unreadable), bytes: () => large }).id;
  const files = async (id: number): Promise<number> => {
    while ((await evidence.read(id))?.evidence === null) await delay(10);
    return readdirSync(join(root.path, 'incidents', String(id))).filter((name) => PART_FILE.test(name))
      .length;
  };
  const first = Array.from({ length: 9 }, add);
  assert.deepEqual(await Promise.all(first.map(files)), [2, 2, 2, 2, 2, 2, 2, 0, 0]);
  assert.equal(await files(add()), 2);
  await evidence.close(NEVER);
});

void test('P7: where the disk has no more room than the group needs, only who voted what is kept of much, and that is said', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const logged: string[] = [];
  const evidence = new Evidence(
    root.path,
    NOBODY,
    (line) => logged.push(line),
    () => 30 * MIB,
  );
  const add = (bytes: Buffer): number =>
    evidence.add(INCIDENT, { ...finds(unreadable), bytes: () => bytes }).id;
  const [small, fits, large] = [
    add(Buffer.alloc(9)),
    add(Buffer.alloc(10 * MIB)),
    add(Buffer.alloc(20 * MIB)),
  ];
  await evidence.close(AbortSignal.abort());
  const parts = async (id: number): Promise<number | undefined> =>
    (await evidence.read(id))?.evidence?.parts.length;
  assert.deepEqual([await parts(small), await parts(fits), await parts(large)], [2, 2, 0]);
  assert.deepEqual(readdirSync(join(root.path, 'incidents', String(large))), [CASE_FILE]);
  assert.deepEqual(logged, ['evidence   incident 3: no room for what differs, only who voted what is kept']);
});

void test('P7: where the disk has no room, also many incidents of which little is kept take no more than the group can bear', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  for (const each of [120 * 1024, 500 * 1024]) {
    const folder = join(root.path, String(each));
    mkdirSync(folder);
    const evidence = new Evidence(
      folder,
      NOBODY,
      () => {},
      () => 0,
    );
    const bytes = (): Buffer => Buffer.alloc(each);
    for (let i = 0; i < 200; i++) {
      const { id } = evidence.add(INCIDENT, { ...finds(() => ''), bytes });
      while ((await evidence.read(id))?.evidence === null) await delay(1);
    }
    await evidence.close(AbortSignal.abort());
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    const taken = files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
    assert.ok(taken < 64 * MIB, `${taken} bytes`);
  }
});

void test('P6: who is to be told is told, be it a command or a webhook alone', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const told = new EventEmitter();
  await using server = createServer((request, response) => {
    response.end();
    told.emit('told', request.url);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const url = (path: string): string => `http://127.0.0.1:${port}/${path}`;
  const command = [process.execPath, '--eval', `await fetch('${url('command')}')`];
  for (const [hook, path] of [
    [{ ...NOBODY, command, folder: root.path }, '/command'],
    [{ ...NOBODY, webhook: url('webhook') }, '/webhook'],
  ] as const) {
    const evidence = new Evidence(root.path, hook, () => {}, ROOM);
    const called = once(told, 'told');
    evidence.add(INCIDENT, { ...finds(endless), votes: [] });
    assert.deepEqual(await called, [path]);
    await evidence.close(NEVER);
  }
});

async function* unreadable(): AsyncGenerator<Buffer[]> {
  yield [];
  throw new Error('no such state');
}

void test('P6: votes are compared once the fault is masked, and though the state before them cannot be read, which is said', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const evidence = new Evidence(root.path, NOBODY, assert.fail, ROOM);
  const sinceMs = performance.now();
  const ids = [1, 2].map(() => evidence.add(INCIDENT, finds(unreadable)).id);
  const compared = async (id: number): Promise<unknown> => {
    while (((await evidence.read(id))?.comparisons ?? null) === null) await delay(10);
    return (await evidence.read(id))?.comparisons?.map(({ of, replicas, unnamed }) => [
      of,
      replicas,
      unnamed,
    ]);
  };
  assert.deepEqual(await compared(ids[0] ?? 0), [['update', ['r1'], 'no such state']]);
  assert.ok(performance.now() - sinceMs >= 2000, 'until then the processors are for repairing it');
  assert.deepEqual(await compared(ids[1] ?? 0), [
    ['update', ['r1'], 'that before another incident was being looked into'],
  ]);
  const { id } = evidence.add(
    INCIDENT,
    finds(() => 'it is large'),
  );
  assert.deepEqual(await compared(id), [['update', ['r1'], 'it is large']]);
  await evidence.close(NEVER);
});

void test('P7: the state before an incident is made anew only where the updates after the checkpoint have room, too, which is said', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const updates = join(root.path, 'comparing/updates');
  let most = 0;
  const room = (): number => {
    const taken = statSync(updates, { throwIfNoEntry: false })?.size ?? 0;
    most = Math.max(most, taken);
    return 8 * MIB - taken;
  };
  async function* many(): AsyncGenerator<Buffer[]> {
    for (let i = 0; i < 32; i++) yield [Buffer.alloc(MIB)];
  }
  const evidence = new Evidence(root.path, NOBODY, assert.fail, room);
  const { id } = evidence.add(
    INCIDENT,
    finds((target) => {
      writeFileSync(target, Buffer.alloc(4 * MIB));
      return many();
    }),
  );
  let found: CaseView['comparisons'] = null;
  while ((found = (await evidence.read(id))?.comparisons ?? null) === null) await delay(10);
  await evidence.close(NEVER);
  room();
  assert.equal(found[0]?.unnamed, 'with the updates after it there is no room for it');
  assert.ok(most < 4 * MIB, `${most} bytes`);
});

void test('P6: that votes could not be compared is said in a few words, with the incident', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const logged = Promise.withResolvers<string>();
  const evidence = new Evidence(root.path, NOBODY, logged.resolve, ROOM);
  const { id } = evidence.add(INCIDENT, finds(unreadable));
  while ((await evidence.read(id))?.evidence === null) await delay(10);
  writeFileSync(join(root.path, 'incidents', String(id), CASE_FILE), '{');
  assert.match(
    await logged.promise,
    /^evidence {3}incident 1: votes are not compared to the end: SyntaxError: [^\n]{1,100}$/,
  );
  await evidence.close(NEVER);
});

void test('P6: that an incident could not be kept is said once, and who is to be told of it is told', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const { hook, told } = listener(root.path);
  const logged: string[] = [];
  const evidence = new Evidence(root.path, hook, (line) => logged.push(line), ROOM);
  rmSync(join(root.path, 'incidents'), { recursive: true });
  evidence.add(INCIDENT, finds(unreadable));
  await evidence.close(NEVER);
  assert.equal(logged.length, 1, logged.join('\n'));
  assert.match(logged[0] ?? '', /^evidence {3}incident 1: ENOENT: /);
  assert.deepEqual(
    told().map(({ incident, evidence }) => [incident.id, evidence]),
    [[1, null]],
  );
});

void test('P6 V1: of each of more incidents than may wait at once somebody is told, or it is said that nobody is', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const { hook, told } = listener(root.path);
  const logged: string[] = [];
  const evidence = new Evidence(root.path, hook, (line) => logged.push(line), ROOM);
  const ids = Array.from({ length: 110 }, () => evidence.add(INCIDENT, { ...finds(endless), votes: [] }).id);
  await evidence.close(NEVER);
  const said = logged.flatMap((line) => /^hook +incident (\d+): /.exec(line)?.[1] ?? []).map(Number);
  const known = new Set([...told().map(({ incident }) => incident.id), ...said]);
  assert.deepEqual(
    ids.filter((id) => !known.has(id)),
    [],
  );
});

void test('P7: a state that was being compared when all ended takes no room in the next life', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const comparing = join(root.path, 'comparing');
  mkdirSync(comparing);
  for (const name of ['state', 'updates', '0.db']) writeFileSync(join(comparing, name), 'large');
  const evidence = new Evidence(root.path, NOBODY, () => {}, ROOM);
  assert.equal(existsSync(comparing), false);
  await evidence.close(NEVER);
});

/** A command that adds what it is told to a file of `folder`, one line each; and what is in it. */
function listener(folder: string): { hook: HookOptions; told: () => CaseView[] } {
  const file = join(folder, 'told');
  writeFileSync(file, '');
  const command = ['/bin/sh', '-c', 'cat >> told; echo >> told'];
  const lines = (): string[] =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  return {
    hook: { ...NOBODY, command, folder },
    told: () => lines().map((line) => JSON.parse(line) as CaseView),
  };
}

void test('P6 V2: who is to be told of an incident just before the end is told, of what differs too, and nobody waits for the repair', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const { hook, told } = listener(root.path);
  const evidence = new Evidence(root.path, hook, () => {}, ROOM);
  evidence.add(INCIDENT, finds(unreadable));
  await evidence.close(NEVER);
  assert.deepEqual(
    told().map(({ incident, comparisons }) => [incident.id, comparisons?.length]),
    [[1, 1]],
  );
});

void test('P6 V2: what was neither compared nor told when all was killed is in the next life, once', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const { hook, told } = listener(root.path);
  const incidents = new Incidents(join(root.path, 'incidents.jsonl'));
  const folders = new Folders(join(root.path, 'incidents'), { folders: 9, bytes: MIB });
  for (const found of [finds(unreadable), { ...finds(unreadable), votes: [] }]) {
    const incident = incidents.add(INCIDENT);
    await folders.keep(incident.id, exhibitsOf(incident, found));
  }
  for (let life = 0; life < 2; life++) await new Evidence(root.path, hook, () => {}, ROOM).close(NEVER);
  const differences = new Map(told().map(({ incident, comparisons }) => [incident.id, comparisons?.length]));
  assert.equal(told().length, 2);
  assert.deepEqual([differences.get(1), differences.get(2)], [1, undefined]);
});

void test('P6 V2: a command that does not end holds up the end for seconds at most, and is called again in the next life', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const { hook, told } = listener(root.path);
  const logged: string[] = [];
  const hanging = { ...hook, command: ['sleep', '1000'] };
  const first = new Evidence(root.path, hanging, (line) => logged.push(line), ROOM);
  first.add(INCIDENT, { ...finds(unreadable), votes: [] });
  const sinceMs = performance.now();
  await first.close(NEVER);
  assert.ok(performance.now() - sinceMs < 20_000);
  assert.deepEqual(logged, [
    'hook       incident 1: not told, because all ends; the next start does it if the folder of the incident is there',
  ]);
  await new Evidence(root.path, hook, () => {}, ROOM).close(NEVER);
  assert.equal(told().length, 1);
});

void test('P6 V2: what is too much to be compared at once is compared in the next life', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const folders = new Folders(join(root.path, 'incidents'), { folders: 200, bytes: MIB });
  const incidents = new Incidents(join(root.path, 'incidents.jsonl'));
  const ids = Array.from({ length: 120 }, () => incidents.add(INCIDENT).id);
  for (const id of ids) await folders.keep(id, exhibitsOf({ id, ...INCIDENT }, finds(unreadable)));
  await new Evidence(root.path, NOBODY, () => {}, ROOM).close(AbortSignal.abort());
  assert.deepEqual(folders.pending(), ids);
});

void test('P6: of an incident that was lost with the power, but for its folder, nobody is told nothing', async () => {
  using root = mkdtempDisposableSync(join(tmpdir(), 'spare-evidence-'));
  const { hook, told } = listener(root.path);
  const folders = new Folders(join(root.path, 'incidents'), { folders: 9, bytes: MIB });
  await folders.keep(1, [{ file: CASE_FILE, bytes: Buffer.alloc(0) }]);
  const logged: string[] = [];
  await new Evidence(root.path, hook, (line) => logged.push(line), ROOM).close(NEVER);
  assert.deepEqual(told(), []);
  assert.deepEqual(logged, ['evidence   incident 1: nobody is told, for all of it was lost with the power']);
  assert.deepEqual(folders.pending(), []);
});
