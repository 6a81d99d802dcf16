/** What becomes of an image that cannot be measured, or not be compared any more? On real files. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempDisposableSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { SpareError } from '../errors.ts';
import { withoutRights } from '../testing.ts';
import { Images, sameVariants } from './images.ts';

void test('P2: what is accepted and cannot be kept, or was kept and is damaged, is said in words of the data folder', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-images-'));
  const [folder, file] = [join(place.path, 'service'), join(place.path, 'image.json')];
  mkdirSync(folder);
  await using images = new Images(place.path, () => {});
  const image = await images.measure([{ folder, command: [process.execPath], env: {}, state: [] }]);
  symlinkSync('/dev/full', `${file}.new`);
  const hint = /Free space/;
  await assert.rejects(images.accept(image), {
    code: 'storage-failed',
    message: /image\.json failed: ENOSPC/,
    hint,
  });
  writeFileSync(file, '{"about":');
  await assert.rejects(images.load(), { code: 'data-folder-damaged', message: /image\.json .*JSON/ });
});

void test('P6: a file that cannot be read is named with what to do: nothing is founded, and nothing starts', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-images-'));
  const [folder, data] = [join(place.path, 'service'), join(place.path, 'data')];
  for (const path of [folder, data]) mkdirSync(path);
  chmodSync(place.path, 0o755);
  writeFileSync(join(folder, '.env'), 'SECRET=1');
  const variants = [{ folder, command: [process.execPath, 'server.mjs'], env: {}, state: [] }];
  await using images = new Images(data, () => {});
  const reported: (string | null)[] = [];
  images.onChange = (error) => reported.push(error?.code ?? null);
  const image = await images.measure(variants);
  const unreadable = (error: unknown): boolean => {
    assert.ok(error instanceof SpareError);
    assert.match(error.message, /cannot be read: EACCES.*service\/\.env/);
    assert.equal(error.code, 'image-unreadable');
    return true;
  };
  chmodSync(join(folder, '.env'), 0);
  {
    using _ = withoutRights();
    await assert.rejects(images.measure(variants), unreadable);
    for (let i = 0; i < 2; i++) await assert.rejects(images.check(image), unreadable);
  }
  chmodSync(join(folder, '.env'), 0o644);
  await images.check(image);
  assert.deepEqual(reported, ['image-unreadable', null]);
});

void test('P6: a program that is gone since it was accepted is a change: no replica is blamed for what it would start from', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-images-'));
  const [folder, data] = [join(place.path, 'service'), join(place.path, 'data')];
  for (const path of [folder, data]) mkdirSync(path);
  const program = join(folder, 'program');
  const variants = [{ folder, command: ['./program'], env: {}, state: [] }];
  await using images = new Images(data, () => {});
  const reported: (string | null)[] = [];
  images.onChange = (error) => reported.push(error?.code ?? null);
  await assert.rejects(images.measure(variants), { code: 'command-not-found', hint: /executable/ });
  writeFileSync(program, '', { mode: 0o755 });
  const image = await images.measure(variants);
  chmodSync(program, 0o644);
  const changed = { code: 'image-changed', message: /`\.\/program`/, hint: /executable/ };
  for (let i = 0; i < 2; i++) await assert.rejects(images.check(image), changed);
  chmodSync(program, 0o755);
  await images.check(image);
  assert.deepEqual(reported, ['image-changed', null]);
});

void test('P6: a file whose name is not UTF-8 is named with what to do: nothing is founded, and nothing starts', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-images-'));
  const [folder, data] = [join(place.path, 'service'), join(place.path, 'data')];
  for (const path of [folder, data]) mkdirSync(path);
  const variants = [{ folder, command: [process.execPath, 'server.mjs'], env: {}, state: [] }];
  await using images = new Images(data, () => {});
  const image = await images.measure(variants);
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff])]), '');
  const unreadable = { code: 'image-unreadable', message: /service is not UTF-8: \\xff/, hint: /rename/ };
  await assert.rejects(images.measure(variants), unreadable);
  await assert.rejects(images.check(image), unreadable);
});

void test('P6: a change is told once, also while the image that it makes is compared, and the next one is news', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-images-'));
  const [folder, data] = [join(place.path, 'service'), join(place.path, 'data')];
  for (const path of [folder, data]) mkdirSync(path);
  const variants = [{ folder, command: [process.execPath, 'server.mjs'], env: {}, state: [] }];
  await using images = new Images(data, () => {});
  const reported: (string | null)[] = [];
  images.onChange = (error) => reported.push(error?.code ?? null);
  const change = (text: string): void => writeFileSync(join(folder, 'server.mjs'), text);
  change('first');
  const first = await images.measure(variants);
  change('the second');
  const second = await images.measure(variants);
  for (let i = 0; i < 2; i++) {
    await assert.rejects(images.check(first), { code: 'image-changed' });
    await images.check(second);
  }
  assert.deepEqual(reported, ['image-changed']);
  await images.forget(first);
  change('and the third');
  await assert.rejects(images.check(second), { code: 'image-changed' });
  change('the second');
  await images.check(second);
  assert.deepEqual(reported, ['image-changed', 'image-changed', null]);
});

for (const inPlace of [false, true]) {
  const where = inPlace ? 'in the place of the old one' : 'beside the old one';
  void test(`P6: a version that took over ${where} is no change of it, for whom a check of that still waits or is under way`, async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-images-'));
    const [folder, data] = [join(place.path, 'service'), join(place.path, 'data')];
    for (const path of [folder, data]) mkdirSync(path);
    const variants = [{ folder, command: [process.execPath, 'server.mjs'], env: {}, state: [] }];
    await using images = new Images(data, () => {});
    const reported: (string | null)[] = [];
    images.onChange = (error) => reported.push(error?.code ?? null);
    writeFileSync(join(folder, 'server.mjs'), 'the old one');
    const old = await images.measure(variants);
    if (inPlace) writeFileSync(join(folder, 'server.mjs'), 'the new one');
    const checks = [images.check(old)];
    await new Promise(setImmediate);
    checks.push(images.check(old));
    await images.forget(old);
    await Promise.allSettled(checks);
    assert.deepEqual(reported, []);
  });
}

void test('P6: once its thread has ended nothing is measured any more: that is told once, and whoever asks is refused at once', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-images-'));
  const folder = join(place.path, 'service');
  mkdirSync(folder);
  const begun = once(process, 'worker') as Promise<[Worker]>;
  await using images = new Images(place.path, () => {});
  const reported: (string | null)[] = [];
  images.onChange = (error) => reported.push(error?.code ?? null);
  const [thread] = await begun;
  const image = await images.measure([{ folder, command: [process.execPath], env: {}, state: [] }]);
  await thread.terminate();
  assert.deepEqual(reported, ['image-unreadable']);
  const refused = { code: 'image-unreadable', message: /ended/, hint: /start/ };
  for (let i = 0; i < 2; i++) await assert.rejects(images.check(image), refused);
  await assert.rejects(images.measure(image.variants), refused);
  assert.deepEqual(reported, ['image-unreadable']);
});

/** Tells, in all threads, what gets its name and what is made durable. */
const TELLING = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const { fsyncSync, renameSync } = fs;
  const tell = (line) => fs.writeSync(1, line + '\\n');
  fs.fsyncSync = (fd) => (fsyncSync(fd), tell('durable ' + fs.readlinkSync('/proc/self/fd/' + fd)));
  fs.renameSync = (from, to) => (renameSync(from, to), tell('named ' + to));
  syncBuiltinESMExports();`;

void test('P2: what was accepted is durable, and so is its name, before anything starts from it', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-images-'));
  const folder = join(place.path, 'service');
  mkdirSync(folder);
  const variants = [{ folder, command: [process.execPath], env: {}, state: [] }];
  const script = `
    import { Images } from ${JSON.stringify(new URL('./images.ts', import.meta.url).href)};
    await using images = new Images(${JSON.stringify(place.path)}, () => {});
    await images.accept(await images.measure(${JSON.stringify(variants)}));`;
  const args = ['--import', `data:text/javascript,${encodeURIComponent(TELLING)}`, '--eval', script];
  const file = join(place.path, 'image.json');
  assert.deepEqual(execFileSync(process.execPath, args, { encoding: 'utf8' }).trim().split('\n'), [
    `durable ${file}.new`,
    `named ${file}`,
    `durable ${place.path}`,
  ]);
});

void test('P6: what a machine is given of the host besides its service is compared, too', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-images-'));
  const [folder, data, extra] = ['service', 'data', 'extra'].map((name) => join(place.path, name));
  assert.ok(folder !== undefined && data !== undefined && extra !== undefined);
  for (const path of [folder, data, extra]) mkdirSync(path);
  writeFileSync(join(extra, 'tool'), 'sound');
  await using images = new Images(data, () => {});
  const command = [process.execPath, 'server.mjs'];
  const image = await images.measure([{ folder, command, env: {}, state: [], include: [extra] }]);
  await images.check(image);
  writeFileSync(join(extra, 'tool'), 'changed');
  await assert.rejects(images.check(image), { code: 'image-changed', message: /extra\/tool/ });
});

void test('P6: a configuration that names another container image is a change: the accepted one would go on, and nobody be told', () => {
  const variant = { folder: '/app', command: ['server'], env: {}, state: [], oci: '/images/one' };
  const accepted = { number: 0, variants: [variant], digest: '' };
  sameVariants(accepted, [{ ...variant }]);
  const changed = { code: 'image-changed', message: /another .*image/ };
  assert.throws(() => sameVariants(accepted, [{ ...variant, oci: '/images/two' }]), changed);
  assert.throws(() => sameVariants(accepted, [{ ...variant, include: ['/opt/tool'] }]), changed);
});
