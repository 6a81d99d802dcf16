/** Images: is what is measured always the same, and is what was changed never started? */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import promises, {
  appendFile,
  chmod,
  cp,
  mkdir,
  open,
  readFile,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { type BigIntStats, existsSync, mkdtempDisposableSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { SpareError } from '../../../errors.ts';
import { isRequired, replaceTool, untilDone, withoutRights } from '../../../testing.ts';
import { DEFAULT_AGENT } from '../../process/package.ts';
import { buildImage } from './build.ts';
import { writeErofs } from './erofs.ts';
import { Image, type Manifest } from './manifest.ts';
import { readLayers, readOciProgram } from './oci.ts';
import { collectRoot } from './root.ts';
import { writeLayout } from './testing.ts';
import { FileTree } from './tree.ts';

const required = isRequired('qemu');

async function service(base: string): Promise<string> {
  const folder = join(base, 'service');
  await mkdir(join(folder, 'lib'), { recursive: true });
  await writeFile(join(folder, 'server.mjs'), 'export {};\n');
  await writeFile(join(folder, 'lib/part.mjs'), 'export {};\n');
  await writeFile(join(folder, 'app.db'), 'not for the image');
  await mkdir(join(folder, 'lib/.git'));
  await writeFile(join(folder, 'lib/.git/index'), 'not for the image');
  return folder;
}

async function build(base: string, folder: string, name: string): Promise<Image> {
  return buildImage({
    service: { folder, command: [process.execPath, 'server.mjs'], env: {}, state: ['app.db'] },
    agent: DEFAULT_AGENT,
    hidden: join(base, 'data'),
    images: join(base, name),
    kernel: '/',
    progress: () => {},
  });
}

void test('an image of the same files is the same, whatever their times, order and state', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-image-'));
  const base = place.path;
  const folder = await service(base);
  let first: Image;
  try {
    first = await build(base, folder, 'one');
  } catch (error) {
    if (required) throw error;
    context.skip(String(error));
    return;
  }
  await rm(join(folder, 'server.mjs'));
  await writeFile(join(folder, 'app.db'), 'another state');
  await writeFile(join(folder, 'lib/.git/index'), 'another index');
  await writeFile(join(folder, 'server.mjs'), 'export {};\n');
  await utimes(join(folder, 'lib/part.mjs'), 1, 1);
  const second = await build(base, folder, 'two');
  assert.equal(second.manifest.digest, first.manifest.digest);
  assert.notEqual(second.manifest.inputs, first.manifest.inputs);
  await writeFile(join(folder, 'server.mjs'), 'export { };\n');
  const third = await build(base, folder, 'three');
  assert.notEqual(third.manifest.digest, first.manifest.digest);
  const again = await build(base, folder, 'three');
  assert.deepEqual(again.manifest, third.manifest);
});

async function madeUp(base: string): Promise<Image> {
  const folder = join(base, 'image');
  await mkdir(folder);
  const digests: Record<string, string> = {};
  for (const name of ['kernel', 'initrd', 'root']) {
    await writeFile(join(folder, name), name.repeat(10_000));
    digests[name] = createHash('sha256').update(name.repeat(10_000)).digest('hex');
  }
  const lines = ['kernel', 'initrd', 'root'].map((name) => `${name} ${digests[name]}\n`).join('');
  const digest = createHash('sha256').update(lines).digest('hex');
  return new Image(folder, { digest, files: digests, inputs: '' } as unknown as Manifest);
}

void test('a byte flipped in an image is refused, before its first start and after it', async () => {
  for (const name of ['kernel', 'initrd', 'root']) {
    for (const verifiedBefore of [false, true]) {
      using place = mkdtempDisposableSync(join(tmpdir(), 'spare-image-'));
      const image = await madeUp(place.path);
      if (verifiedBefore) await image.verify();
      const file = await open(join(place.path, 'image', name), 'r+');
      await file.write(Buffer.of(0), 0, 1, 12_345);
      await file.close();
      await assert.rejects(image.verify(), (error) => {
        assert.ok(error instanceof SpareError);
        assert.equal(error.code, 'image-damaged');
        assert.match(error.message, new RegExp(`${name} has the digest`));
        return true;
      });
    }
  }
});

void test('a change within the same tick of the clock that times of files are kept by is refused, too', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-image-'));
  const image = await madeUp(place.path);
  const ticks = new Map<unknown, Promise<BigIntStats>>();
  // Until the test is done that clock stands still.
  const { stat } = promises;
  context.mock.method(promises, 'stat', (path: string, options: { bigint: true }) =>
    ticks.getOrInsertComputed(path, () => stat(path, options)),
  );
  untilDone(context);
  await image.verify();
  await writeFile(image.path('root'), 'ROOT'.repeat(10_000));
  await assert.rejects(image.verify(), { code: 'image-damaged' });
});

void test('a manifest that was made to fit a changed file no longer fits itself', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-image-'));
  const { folder, manifest } = await madeUp(place.path);
  await writeFile(join(folder, 'root'), 'another');
  const root = createHash('sha256').update('another').digest('hex');
  const image = new Image(folder, { ...manifest, files: { ...manifest.files, root } });
  await assert.rejects(image.verify(), /contradicts itself/);
});

void test('a root has what the tree says, at any size, as a tool of others reads it', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-erofs-'));
  const tree = new FileTree(false);
  const long = 'x'.repeat(200);
  const texts: Record<string, string> = {
    '/empty': '',
    '/page': 'p'.repeat(4096),
    '/more': 'm'.repeat(4097),
  };
  for (let i = 0; i < 300; i += 1) texts[`/many/${long}-${i}`] = `file ${i}`;
  for (const [path, text] of Object.entries(texts)) tree.set(path, { type: 'text', text });
  tree.set('/many/link', { type: 'link', target: '../page' });
  const path = join(place.path, 'root');
  await writeErofs(path, tree.entries);
  try {
    execFileSync('fsck.erofs', ['--help'], { stdio: 'ignore' });
  } catch {
    context.skip('no fsck.erofs (erofs-utils) here');
    return;
  }
  const out = join(place.path, 'out');
  execFileSync('fsck.erofs', [`--extract=${out}`, path], { stdio: 'pipe' });
  for (const [name, text] of Object.entries(texts)) assert.equal(readFileSync(join(out, name), 'utf8'), text);
  assert.equal(readFileSync(join(out, 'many/link'), 'utf8'), texts['/page']);
});

const PROGRAM = { Entrypoint: ['python3'], Cmd: ['app.py'], Env: ['A=b=c'], WorkingDir: '/app' };

void test('an OCI image layout gives its program, and its layers one over the other', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-oci-'));
  const [lower, upper] = [join(place.path, 'lower'), join(place.path, 'upper')];
  for (const path of ['app/old', 'app/gone', 'hidden']) await mkdir(join(lower, path), { recursive: true });
  await writeFile(join(lower, 'app/old/file'), 'old');
  await writeFile(join(lower, 'app/kept'), 'kept');
  for (const path of ['dev', 'app/dev']) {
    await mkdir(join(lower, path));
    await writeFile(join(lower, path, 'file'), 'no device below /app');
  }
  await writeFile(join(lower, 'hidden/secret'), 'secret');
  await symlink('kept', join(lower, 'app/link'));
  await mkdir(join(upper, 'app/old'), { recursive: true });
  await mkdir(join(upper, 'hidden'));
  await writeFile(join(upper, 'app/.wh.gone'), '');
  await writeFile(join(upper, 'app/old/file'), 'new');
  await writeFile(join(upper, 'hidden/.wh..wh..opq'), '');
  await chmod(join(upper, 'app/old/file'), 0o755);
  const folder = await writeLayout(place.path, [lower, upper], PROGRAM);
  assert.deepEqual(readOciProgram(folder), {
    command: ['python3', 'app.py'],
    env: { A: 'b=c' },
    folder: '/app',
  });
  const tree = new FileTree(false);
  await readLayers(folder, tree, join(place.path, 'scratch'));
  assert.deepEqual([...tree.entries.keys()].sort(), [
    '/',
    '/app',
    '/app/dev',
    '/app/dev/file',
    '/app/kept',
    '/app/link',
    '/app/old',
    '/app/old/file',
    '/dev',
    '/hidden',
  ]);
  const file = tree.entries.get('/app/old/file');
  assert.ok(file?.type === 'file' && file.executable);
  assert.equal(await readFile(file.source, 'utf8'), 'new');
});

void test('R1: a root that is taken from an OCI image layout has none of the state files in it', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-oci-'));
  const layer = join(place.path, 'layer');
  await mkdir(join(layer, 'app/data'), { recursive: true });
  for (const name of ['app.py', 'data/app.db', 'data/app.db-wal', 'data/other.db']) {
    await writeFile(join(layer, 'app', name), name);
  }
  const oci = await writeLayout(place.path, [layer], PROGRAM);
  const service = { ...readOciProgram(oci), state: ['data/app.db'], oci };
  const source = { service, agent: DEFAULT_AGENT, hidden: join(place.path, 'data') };
  const layers = new FileTree(false);
  await readLayers(oci, layers, join(place.path, 'scratch'));
  const { tree } = collectRoot(source, layers);
  const found = [...tree.entries.keys()].filter((path) => path.startsWith('/spare/service/'));
  assert.deepEqual(found.sort(), [
    '/spare/service/app.py',
    '/spare/service/data',
    '/spare/service/data/other.db',
  ]);
});

void test('R1: nor is there in what is included beside the service: not the data folder, nor what is no part of it', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-root-'));
  const [folder, shared] = [await service(place.path), join(place.path, 'shared')];
  for (const name of ['data/images', '.git']) await mkdir(join(shared, name), { recursive: true });
  for (const name of ['tool', 'data/spare.db', '.git/index']) await writeFile(join(shared, name), name);
  const command = [process.execPath, 'server.mjs'];
  const source = {
    service: { folder, command, env: {}, state: [], include: [shared] },
    agent: DEFAULT_AGENT,
    hidden: join(shared, 'data'),
  };
  const { tree } = collectRoot(source, new FileTree(true));
  const found = [...tree.entries.keys()].filter((path) => path.startsWith(`${shared}/`));
  assert.deepEqual(found, [join(shared, 'tool')]);
});

void test('a link in a layer leads nowhere on the host: as of /var/run to /run, where much is closed', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-oci-'));
  const [layer, outside] = [join(place.path, 'layer'), join(place.path, 'outside')];
  const [scratch, closed] = [join(place.path, 'scratch'), join(outside, 'closed')];
  for (const path of [join(layer, 'var'), closed, scratch]) await mkdir(path, { recursive: true });
  await symlink(outside, join(layer, 'var/run'));
  const folder = await writeLayout(place.path, [layer], PROGRAM);
  const tree = new FileTree(false);
  for (const [path, mode] of [
    [place.path, 0o755],
    [scratch, 0o777],
    [closed, 0],
  ] as const)
    await chmod(path, mode);
  try {
    using _ = withoutRights();
    await readLayers(folder, tree, scratch);
  } finally {
    await chmod(closed, 0o700);
  }
  assert.deepEqual([...tree.entries.keys()], ['/', '/var', '/var/run']);
});

void test('an image of a container image that is there already is not unpacked again; with other state files it is another one', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-oci-'));
  const layer = join(place.path, 'layer');
  await mkdir(join(layer, 'app'), { recursive: true });
  for (const name of ['app.py', 'app.db', 'other.db']) await writeFile(join(layer, 'app', name), name);
  const oci = await writeLayout(place.path, [layer], PROGRAM);
  const buildWith = (state: string[]): Promise<Image> =>
    buildImage({
      service: { ...readOciProgram(oci), state, oci },
      agent: DEFAULT_AGENT,
      hidden: join(place.path, 'data'),
      images: join(place.path, 'images'),
      kernel: '/',
      progress: () => {},
    });
  let first: Image;
  try {
    first = await buildWith(['app.db']);
  } catch (error) {
    if (required) throw error;
    context.skip(String(error));
    return;
  }
  const unpacks = join(place.path, 'unpacks');
  replaceTool(context, place.path, 'tar', `touch ${unpacks}; exit 1`);
  assert.deepEqual(await buildWith(['app.db']), first);
  assert.equal(existsSync(unpacks), false);
  await assert.rejects(buildWith(['other.db']), { code: 'image-build-failed' });
  assert.equal(existsSync(unpacks), true);
});

void test('an OCI image layout with a changed blob is refused', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-oci-'));
  const lower = join(place.path, 'lower');
  await mkdir(lower);
  await writeFile(join(lower, 'file'), 'text');
  const folder = await writeLayout(place.path, [lower], PROGRAM);
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as {
    manifests: { digest: string }[];
  };
  const blob = (digest = ''): string => join(folder, 'blobs', digest.replace(':', '/'));
  const manifest = JSON.parse(readFileSync(blob(index.manifests[0]?.digest), 'utf8')) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  const layer = blob(manifest.layers[0]?.digest);
  await cp(blob(index.manifests[0]?.digest), layer);
  const damaged = { code: 'image-build-failed', message: /is damaged/ };
  const read = (): Promise<void> => readLayers(folder, new FileTree(false), join(place.path, 'scratch'));
  await assert.rejects(read(), damaged);
  await appendFile(blob(manifest.config.digest), '\n');
  assert.throws(() => readOciProgram(folder), damaged);
  await appendFile(blob(index.manifests[0]?.digest), '\n');
  await assert.rejects(read(), damaged);
});
