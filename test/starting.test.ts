/**
 * On what does the service of a copy start that comes later? On what clients have made of the state until then, as it would without
 * Spare: what it reads there and keeps is not from the time in which the group was founded.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { call } from './support/call.ts';
import { MACHINES, MACHINES_START_MS } from './support/machines.ts';
import { PATIENCE_MS, SERVICES, signalTree, Spare } from './support/spare.ts';

const SERVICE = {
  folder: SERVICES,
  command: ['node', 'settings.mjs'],
  state: ['settings.db'],
  recovery: { every: 'never' as const },
};

async function ask(spare: Spare, path: string, method = 'GET'): Promise<string> {
  const reply = await fetch(`${spare.url}${path}`, { method });
  assert.equal(reply.status, 200, spare.output);
  return await reply.text();
}

async function recover(spare: Spare, id: string): Promise<void> {
  const { status, text } = await call('recover', id, '--data', spare.data);
  assert.equal(status, 0, text);
}

/** So that all who serve afterwards were started now. */
async function replaceAll(spare: Spare): Promise<void> {
  for (const { id } of (await spare.status()).replicas) await recover(spare, id);
}

void test('P3: what a service reads when it starts is what clients have made of it, in a replacement and after a restart', async () => {
  await using spare = new Spare(SERVICE);
  await spare.start();
  assert.equal(await ask(spare, '/'), 'hello, nothing stored, 1 start');
  await ask(spare, '/set?to=moin');
  await replaceAll(spare);
  assert.equal(await ask(spare, '/'), 'moin, moin stored, 1 start');
  await ask(spare, '/set?to=servus');
  await spare.signal('SIGKILL');
  await spare.start();
  assert.equal(await ask(spare, '/'), 'servus, servus stored, 1 start');
  await spare.whole();
  assert.deepEqual(await spare.incidents(), []);
});

/** Until its passive replicas are refreshed: after some hundreds of updates. */
async function refresh(spare: Spare): Promise<void> {
  const { ordered } = await spare.status();
  for (let i = 0; i < 600; i++) await ask(spare, '/note');
  await spare.until('both are refreshed', PATIENCE_MS, async () => {
    const { replicas } = await spare.status();
    return replicas.every(({ role, applied }) => role === 'active' || applied > ordered);
  });
}

async function outdated(spare: Spare): Promise<string[]> {
  const { replicas } = await spare.status();
  return replicas.filter((replica) => replica.outdated).map(({ id }) => id);
}

void test('P3: the status names who read at its start what has changed since; a clean one knows it', async () => {
  await using spare = new Spare(SERVICE);
  await spare.start();
  for (const id of ['r2', 'r3']) await recover(spare, id);
  await refresh(spare);
  assert.deepEqual(await outdated(spare), [], 'they never read what was written');
  await ask(spare, '/set?to=moin');
  await refresh(spare);
  assert.deepEqual(await outdated(spare), ['r4', 'r5']);
  await recover(spare, 'r4');
  assert.deepEqual(await outdated(spare), ['r5']);
  await refresh(spare);
  assert.deepEqual(await outdated(spare), ['r5']);
  assert.deepEqual(await spare.incidents(), []);
});

/** Another version, for it has another environment. */
async function deploy(spare: Spare): Promise<{ status: number | null; text: string }> {
  const config = readFileSync(spare.configFile, 'utf8');
  writeFileSync(spare.configFile, config.replace('{', '{"env":{"VERSION":"2"},'));
  return await call('deploy', '--data', spare.data);
}

void test('P5: a new version starts on the state as the old one leaves it, and does not take over where it cannot', async () => {
  await using spare = new Spare(SERVICE);
  await spare.start();
  await ask(spare, '/set?to=unfit');
  const refused = await deploy(spare);
  assert.equal(refused.status, 1);
  assert.match(
    refused.text,
    /did not take over[^]*not fit to be read[^]*starts on the state as the old one leaves it/,
  );
  await ask(spare, '/set?to=moin');
  const { status, text } = await deploy(spare);
  assert.equal(status, 0, text);
  assert.equal(await ask(spare, '/'), 'moin, moin stored, 1 start');
});

void test('P6: a state on which a service does not start keeps nobody from being replaced, nor the group from being started', async () => {
  await using spare = new Spare(SERVICE);
  await spare.start();
  await ask(spare, '/set?to=unfit');
  await replaceAll(spare);
  const lines = spare.output.matchAll(
    /^start +(r\d+) starts once more, on the (\w+) state: .* ended before it listened/gm,
  );
  assert.deepEqual(
    Array.from(lines, ([, id, state]) => [id, state]),
    [
      ['r4', 'present'],
      ['r4', 'initial'],
    ],
    'then it is known',
  );
  assert.match(spare.output, /^Its last output:\n( {2}.*\n)* {2}Error: the greeting is not fit to be read$/m);
  assert.equal(await ask(spare, '/'), 'hello, unfit stored, 1 start');
  await spare.signal('SIGKILL');
  await spare.start();
  assert.equal(await ask(spare, '/'), 'hello, unfit stored, 1 start');
  await spare.whole();
  assert.deepEqual(await spare.incidents(), []);
});

void test('P6: who is killed while it starts is started again, on the present state too', async () => {
  await using spare = new Spare(SERVICE);
  await spare.start();
  await ask(spare, '/set?to=slow');
  const recovered = recover(spare, 'r2');
  await spare.until('a clean one starts', PATIENCE_MS, async () => {
    const { replicas } = await spare.status();
    const pid = replicas.find(({ id, state }) => id === 'r4' && state === 'starting')?.pid ?? 0;
    if (pid > 0) signalTree(pid, 'SIGKILL');
    return pid > 0;
  });
  await recovered;
  for (const id of ['r3', 'r0', 'r1']) await recover(spare, id);
  assert.equal(await ask(spare, '/'), 'slow, slow stored, 1 start');
  assert.deepEqual(await spare.incidents(), []);
  assert.match(spare.output, /^start +r4 starts once more, on the present state: killed by SIGKILL$/m);
});

void test('P4 P6: a start that writes more anew than a copy can hold keeps nobody from being replaced', async () => {
  await using spare = new Spare({
    ...SERVICE,
    command: ['node', 'rewriter.mjs'],
    state: ['rewriter.db'],
    limits: { memoryBytes: 256 * 1024 ** 2 },
  });
  await spare.start();
  for (let i = 1; i <= 28; i++) assert.equal(await ask(spare, '/', 'POST'), String(2048 * i));
  await replaceAll(spare);
  assert.equal(await ask(spare, '/'), String(2048 * 28));
  assert.deepEqual(await spare.incidents(), []);
  assert.match(spare.output, /^start +r4 starts once more, on the initial state: memory limit/m);
});

void test('P6: a service that never ends to start on the present state has the time to start on the initial one', async () => {
  // Longer than what the manager waits for a report that does not come.
  const env = { START_MS: '6000' };
  await using spare = new Spare({ ...SERVICE, env, limits: { startTimeoutMs: 12_000 } });
  await spare.start();
  await ask(spare, '/set?to=endless');
  // What it answered is recorded then.
  await spare.signal('SIGINT');
  await spare.start();
  assert.match(spare.output, /starts once more, on the initial state: .* did not listen/);
  assert.equal(await ask(spare, '/'), 'hello, endless stored, 1 start');
  assert.deepEqual(await spare.incidents(), []);
});

void test(
  'P3 P6: so it is in machines when the group is started again: their template starts on the present state',
  MACHINES,
  async () => {
    await using spare = new Spare({
      ...SERVICE,
      hypervisor: 'qemu',
      limits: { memoryBytes: 256 * 1024 ** 2 },
    });
    await spare.start(MACHINES_START_MS);
    for (const [to, greeting] of [
      ['moin', 'moin'],
      ['unfit', 'hello'],
    ]) {
      await ask(spare, `/set?to=${to}`);
      // What it answered is recorded then.
      await spare.signal('SIGINT');
      await spare.start(MACHINES_START_MS);
      assert.equal(await ask(spare, '/'), `${greeting}, ${to} stored, 1 start`);
    }
    assert.deepEqual(await spare.incidents(), []);
  },
);
