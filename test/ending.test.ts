/** Does `spare` end soon, and wholly, when it is told to, whatever it is at? */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Status } from '../src/admin/admin.ts';
import { Call, Place } from './support/call.ts';
import { GOOD, SERVICE } from './support/hello.ts';
import { MACHINES } from './support/machines.ts';
import { ROOT, treeOf } from './support/spare.ts';

/** Of which no group is ever up. */
const NEVER_UP = { ...GOOD, command: [process.execPath, '-e', 'setInterval(() => {}, 1000)'] };

/** Of a file, with nothing in it, whose digest takes minutes. */
const MINUTES_BYTES = 128 * 1024 ** 3;
/** Of one that takes long to be put into an image. */
const IMAGE_BYTES = 1024 ** 3;

/** Interrupts at `when`; nothing may be left but what was there before. */
async function interrupted(
  signal: NodeJS.Signals,
  config: string | null,
  when: (call: Call, place: Place) => boolean,
  largestBytes = 0,
): Promise<void> {
  using place = new Place();
  place.write('large.bin', '').configure(NEVER_UP);
  truncateSync(join(place.folder, 'large.bin'), largestBytes);
  if (config !== null) place.write('spare.config.mjs', config);
  const before = place.files();
  await using call = place.run();
  await call.until(() => when(call, place));
  call.kill(signal);
  assert.equal(await call.end(), 0);
  assert.equal(call.stderr, '');
  assert.deepEqual(await call.left(), []);
  assert.deepEqual(place.files(), before);
}

void suite('interrupted while it starts, with nothing left behind', { concurrency: 2 }, () => {
  void test('as the first domains start (Ctrl-C)', () =>
    interrupted('SIGINT', null, ({ stdout }) => stdout.includes('starting')));
  void test('when domains are up (SIGTERM)', () =>
    interrupted('SIGTERM', null, (call) => call.tree().length > 3));
  void test('as it reads what the service starts from, for minutes', () =>
    interrupted(
      'SIGINT',
      null,
      (_, { folder }) => existsSync(join(folder, 'data/admin.json')),
      MINUTES_BYTES,
    ));
  void test('in a configuration that never ends', () =>
    interrupted(
      'SIGINT',
      'console.log("here"); setInterval(() => {}, 1000); await new Promise(() => {});',
      ({ stdout }) => stdout.includes('here'),
    ));
  void test('as it builds the image of its machines', MACHINES, async () => {
    using place = new Place();
    place.write('service/service.mjs', SERVICE).write('large.bin', '');
    const large = join(place.folder, 'large.bin');
    truncateSync(large, IMAGE_BYTES);
    place.configure({ ...GOOD, folder: 'service', hypervisor: 'qemu', image: { include: [large] } });
    const before = place.files();
    await using call = place.run();
    await call.until(() => call.stdout.includes(', kernel '));
    call.kill('SIGINT');
    assert.equal(await call.end(), 0);
    assert.equal(call.stderr, '');
    assert.doesNotMatch(call.stdout, /digest/);
    assert.deepEqual(await call.left(), []);
    assert.deepEqual(place.files(), before);
  });
});

test('an image that is not built because it was interrupted does not look built: it ends by the signal', async () => {
  using place = new Place();
  place.write(
    'spare.config.mjs',
    'console.log("here"); await new Promise(() => setInterval(() => {}, 1000));',
  );
  await using call = new Call(place.folder, ['image', 'build', '--config', 'spare.config.mjs']);
  await call.until(() => call.stdout.includes('here'));
  call.kill('SIGTERM');
  assert.equal(await call.end(), 'SIGTERM');
  assert.equal(call.stderr, '');
});

test('`npm start` ends wholly when npm is told to end', async () => {
  using place = new Place();
  place.write('service.mjs', SERVICE).configure(GOOD);
  const args = ['start', '--', '--config', join(place.folder, 'spare.config.mjs')];
  const npm = spawn('npm', args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] });
  let said = '';
  for await (const chunk of npm.stdout.iterator({ destroyOnReturn: false })) {
    said += String(chunk);
    if (said.includes('incidents  http')) break;
  }
  const tree = treeOf(npm.pid ?? 0);
  try {
    npm.kill('SIGTERM');
    assert.deepEqual(await once(npm, 'exit'), [0, null]);
    await assert.rejects(fetch(/^status +(http\S+)$/m.exec(said)?.[1] ?? ''));
  } finally {
    for (const pid of tree) if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
  }
});

test('on an older Node it ends as what it started has ended: by its signal', async () => {
  const old = `data:text/javascript,Object.defineProperty(process.versions, 'node', { value: '20.0.0' })`;
  using place = new Place().write(
    'spare.config.mjs',
    'console.log("here"); await new Promise(() => setInterval(() => {}, 1000));',
  );
  const args = ['--import', old, join(ROOT, 'bin/spare.mjs'), 'run', '--config', 'spare.config.mjs'];
  const launcher = spawn(process.execPath, args, { cwd: place.folder, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(launcher.stdout, 'data');
  const [own, child] = treeOf(launcher.pid ?? 0);
  assert.equal(own, launcher.pid);
  assert.ok(child !== undefined);
  process.kill(child, 'SIGKILL');
  assert.deepEqual(await once(launcher, 'exit'), [null, 'SIGKILL']);
});

test('requests in work are answered when it is told to end', async () => {
  using place = new Place();
  const clock = 'const clock = new Int32Array(new SharedArrayBuffer(4));';
  const slow = SERVICE.replace('response.end(', 'Atomics.wait(clock, 0, 0, 100) && response.end(');
  place.write('service.mjs', `${clock}${slow}`).configure(GOOD);
  await using call = place.run();
  const { service: url } = await call.ready();
  const asked = Array.from({ length: 4 }, async () => (await fetch(url)).text());
  // The first of them: those of all others have come as well by then.
  await Promise.race(asked);
  call.kill('SIGTERM');
  assert.deepEqual(new Set(await Promise.all(asked)), new Set(['hello']));
  assert.equal(await call.end(), 0);
  assert.equal(call.stderr, '');
});

test('P6: as it ends, and somebody is being told of an incident, it is not ready any more, and has no copies; a second Ctrl-C waits for nobody', async () => {
  using place = new Place();
  // Within the time that there is for it, unless that is cut short.
  const wait = 'cd data; touch called; until [ -e ending ]; do sleep 0.05; done; sleep 1.2';
  const command = ['/bin/sh', '-c', wait];
  place.write('service.mjs', SERVICE).configure({ ...GOOD, onIncident: { command } });
  await using call = place.run();
  const { status } = await call.ready();
  const replicas = async (): Promise<Status['replicas']> =>
    ((await (await fetch(status)).json()) as Status).replicas;
  process.kill((await replicas())[0]?.pid ?? 0, 'SIGKILL');
  await call.until(() => existsSync(join(place.folder, 'data/called')) && call.stdout.includes('repaired'));
  const ready = async (): Promise<number> => (await fetch(status.replace('status', 'readyz'))).status;
  assert.equal(await ready(), 200);
  call.kill('SIGINT');
  await call.until(() => call.stdout.includes('stopping'));
  place.write('data/ending', '');
  await delay(600);
  assert.equal(await ready(), 503);
  assert.deepEqual(await replicas(), []);
  call.kill('SIGINT');
  assert.equal(await call.end(), 0);
  assert.match(call.stdout, /^hook {7}incident 1: not told, because all ends/m);
  assert.deepEqual(await call.left(), []);
});
