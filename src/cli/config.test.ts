/** What a person gets to read about a configuration or a call that cannot be; the rest is in `test/refusals.test.ts`. */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeLayout } from '../domains/qemu/image/testing.ts';
import { type ErrorCode, SpareError } from '../errors.ts';
import { parseCall } from './arguments.ts';
import { readConfig } from './config-file.ts';
import type { Config, Recovery } from './config.ts';
import { parseAddress, settle } from './settings.ts';
import { parseDuration } from './duration.ts';

const GOOD: Config = { command: ['node', 'server.mjs'], state: ['app.db'] };

async function refused(code: ErrorCode, says: RegExp, action: () => unknown): Promise<void> {
  await assert.rejects(
    async () => await action(),
    (error) => {
      assert.ok(error instanceof SpareError, String(error));
      assert.match(`${error.message} ${error.hint}`, says);
      assert.equal(error.code, code);
      return true;
    },
  );
}

const FILES: Readonly<Record<string, [text: string, says: RegExp]>> = {
  'a name that every object has': ['export default { constructor: 1 }', /Unknown key `constructor`/],
  'a limit beyond what can be': [
    'export default { limits: { bodyBytes: 1e9 } }',
    /`limits\.bodyBytes`.*33554432/,
  ],
  'no limit at all': ['export default { limits: { processes: 0 } }', /`limits\.processes`.*above 0/],
  'a text for a list': ['export default { command: "node server.mjs" }', /`command`.*list/],
  'a list with something else in it': ['export default { state: ["a.db", 5] }', /`state`.*list of texts/],
  'null for an object': ['export default { limits: null }', /`limits`.*an object/],
  'a list for an object': ['export default { limits: [] }', /`limits`.*an object/],
  'a program without a name': ['export default { command: ["", "x"] }', /`command`/],
  'a text that the system would cut': ['export default { command: ["a\\0b"] }', /`command`/],
  'no variants': ['export default { variants: [] }', /`variants`.*one at least/],
  'a wrong variant': ['export default { variants: [{}, { command: 1 }] }', /`variants\[1\]\.command`/],
  'an environment of numbers': ['export default { env: { A: 1 } }', /`env`/],
  'a name that the environment cannot have': ['export default { env: { "A=B": "1" } }', /`env`/],
  'a key that proactive recovery does not have': [
    'export default { recovery: { after: "1h" } }',
    /`recovery\.after`.*every, spread/,
  ],
  'no module': ['export default {', /Cannot load .*: .*\/node \S+\.mjs$/],
  'a package that is not installed': [
    "import { defineConfig } from 'spare'; export default defineConfig({});",
    /'spare'.*`npm install \S+` in \S+; without `defineConfig`/,
  ],
  'no default export': ['export const a = 1', /default export/],
};

for (const [name, [text, says]] of Object.entries(FILES)) {
  void test(`a configuration is refused with what is wrong in it: ${name}`, async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-config-'));
    const file = join(place.path, 'spare.config.mjs');
    writeFileSync(file, text);
    await refused('config-invalid', says, () => readConfig(file));
  });
}

void test('the configuration of the working folder is found, in a CommonJS package as .mts', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-config-'));
  const before = process.cwd();
  context.after(() => process.chdir(before));
  process.chdir(place.path);
  assert.deepEqual((await readConfig(undefined)).config, {});
  writeFileSync('package.json', '{ "type": "commonjs" }');
  writeFileSync('spare.config.mts', 'export default { faults: 2 }');
  assert.deepEqual((await readConfig(undefined)).config, { faults: 2 });
});

void test('a configuration in a CommonJS package is refused with how it can be none', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-config-'));
  const file = join(place.path, 'spare.config.ts');
  writeFileSync(join(place.path, 'package.json'), '{ "type": "commonjs" }');
  for (const text of ["import 'node:fs';", 'export default {};']) {
    writeFileSync(file, text);
    await refused('config-invalid', /CommonJS: call it spare\.config\.mts/, () => readConfig(file, true));
  }
});

void test('a call is refused with what is wrong in it', async () => {
  await refused('config-invalid', /--faults needs a value/, () => parseCall(['run', '--faults']));
  await refused('config-invalid', /--faults needs a value/, () =>
    parseCall(['run', '--faults', '--data', 'x']),
  );
  for (const args of [['run'], ['recover', 'r0'], ['console', 'r0'], ['incidents'], ['backup', 'a']])
    for (const flag of ['data', 'config'])
      await refused('config-invalid', RegExp(`--${flag} is empty`), () => parseCall([...args, `--${flag}=`]));
  await refused('config-invalid', /a file, and that of a folder/, () => parseCall(['export', 'a.backup']));
  await refused('config-invalid', /without "more"/, () => parseCall(['export', 'a.backup', 'out', 'more']));
  for (const verb of ['recover', 'console'])
    await refused('config-invalid', new RegExp(`Which replica is missing, as in .spare ${verb} r0`), () =>
      parseCall([verb, '']),
    );
  await refused('config-invalid', /--help takes no value/, () => parseCall(['run', '--help=1']));
  await refused('config-invalid', /behind --, before "node"/, () => parseCall(['run', 'node', 'server.mjs']));
  for (const args of [
    ['incidents'],
    ['incidents', 'show', '1'],
    ['recover', 'r0'],
    ['console', 'r0'],
    ['backup', 'file'],
  ])
    await refused('config-invalid', /nothing goes behind --.*"foo"/, () => parseCall([...args, '--', 'foo']));
});

void test('what is behind -- is the command, whatever it looks like', () => {
  const call = parseCall(['run', '--state', 'a.db', '--', 'node', '--help', '--', 'x']);
  assert.deepEqual(call, {
    type: 'run',
    configFile: undefined,
    flags: { state: ['a.db'], command: ['node', '--help', '--', 'x'] },
  });
});

void test('addresses are host and port', async () => {
  assert.deepEqual(parseAddress('listen', '8080'), { host: '127.0.0.1', port: 8080 });
  assert.deepEqual(parseAddress('listen', ':8080'), { host: '127.0.0.1', port: 8080 });
  assert.deepEqual(parseAddress('listen', '[::1]:80'), { host: '::1', port: 80 });
  assert.deepEqual(parseAddress('listen', 'localhost:0'), { host: 'localhost', port: 0 });
  for (const wrong of ['', 'a', '1[2:80', '1:2:3', '::1:80', 'a:65536', 'a:-1', 'http://a:80'])
    await refused('address-invalid', /host:port/, () => parseAddress('listen', wrong));
});

void test('paths start at the configuration; what is left out, or undefined, has its default', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-config-'));
  const settings = settle({ ...GOOD, state: ['..app.db', 'a/../b/c.db'] }, place.path);
  assert.deepEqual(settings.state, ['..app.db', 'b/c.db']);
  assert.equal(settings.data, join(place.path, '.spare'));
  assert.equal(settings.folder, place.path);
  const file = join(place.path, 'spare.config.mjs');
  writeFileSync(file, 'export default { limits: { bodyBytes: undefined, processes: 7 } }');
  const { config } = await readConfig(file);
  const { limits } = settle({ ...GOOD, ...config }, place.path);
  assert.equal(limits.bodyBytes, 1024 ** 2);
  assert.equal(limits.processes, 7);
});

void test('a configuration that is a folder is none', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-config-'));
  await refused('config-not-found', /spare-config-.* is a folder/, () => readConfig(place.path));
});

void test('a webhook that nothing can be posted to is refused, and not shown: there may be a secret in it', async () => {
  for (const webhook of ['T0KEN', 'ftp://example.org/T0KEN', 'https://user:T0KEN@example.org/'])
    await refused('config-invalid', /^((?!T0KEN).)*webhook((?!T0KEN).)*$/, () =>
      settle({ ...GOOD, onIncident: { webhook } }, tmpdir()),
    );
  const { hook } = settle({ ...GOOD, onIncident: { webhook: 'https://example.org/T0KEN' } }, tmpdir());
  assert.equal(hook.webhook, 'https://example.org/T0KEN');
});

void test('what only virtual machines have is refused of processes', async () => {
  for (const image of [{ include: ['/opt'] }, { oci: 'image' }])
    await refused('config-invalid', /Only virtual machines have.*hypervisor: 'qemu'/, () =>
      settle({ ...GOOD, image }, tmpdir()),
    );
});

void test('a service folder that is a file is none', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-config-'));
  writeFileSync(join(place.path, 'file'), '');
  await refused('service-folder-missing', /file/, () => settle({ ...GOOD, folder: 'file' }, place.path));
});

void test('a container image that does not say where its service is must be told', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-config-'));
  const oci = await writeLayout(place.path, [], { Cmd: ['/app/server'] });
  const config: Config = { hypervisor: 'qemu', image: { oci }, state: [] };
  await refused('config-invalid', /whole container image.*`folder`/, () => settle(config, place.path));
  assert.equal(settle({ ...config, folder: 'app' }, place.path).folder, '/app');
});

void test('durations are numbers with a unit', () => {
  const values = ['250ms', '90s', '1.5 m', '24h', '7d'].map(parseDuration);
  assert.deepEqual(values, [250, 90_000, 90_000, 86_400_000, 604_800_000]);
  for (const text of ['', '5', 's', '0s', '-1s', '1e3s', '1w', '1h30m'])
    assert.equal(parseDuration(text), null, text);
});

void test('P6: replicas are replaced once a day by default, as configured, or never', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-config-'));
  const of = (recovery?: Recovery) =>
    settle({ ...GOOD, ...(recovery === undefined ? {} : { recovery }) }, place.path).recovery;
  assert.deepEqual(of(), { everyMs: 86_400_000, spreadMs: 86_400_000 });
  assert.deepEqual(of({ every: '20s' }), { everyMs: 20_000, spreadMs: 20_000 });
  assert.deepEqual(of({ every: '1d', spread: '2h' }), { everyMs: 86_400_000, spreadMs: 7_200_000 });
  assert.equal(of({ every: 'never' }), null);
});

void test('a schedule that cannot be kept is refused', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-config-'));
  const of = (recovery: Recovery) => () => settle({ ...GOOD, recovery }, place.path);
  await refused('config-invalid', /`recovery\.every`.*"soon".*24h/, of({ every: 'soon' }));
  await refused('config-invalid', /at least 1s/, of({ every: '5ms' }));
  await refused('config-invalid', /`recovery\.spread` \(2h\)/, of({ every: '1h', spread: '2h' }));
});

void test('`spare recover` names one replica, and where its group is', async () => {
  assert.deepEqual(parseCall(['recover', 'r3', '--data', '/d']), {
    type: 'recover',
    replica: 'r3',
    configFile: undefined,
    data: '/d',
  });
  await refused('config-invalid', /Which replica/, () => parseCall(['recover']));
  await refused('config-invalid', /One replica at a time/, () => parseCall(['recover', 'r1', 'r2']));
  await refused('config-invalid', /takes no --faults/, () => parseCall(['recover', 'r1', '--faults', '2']));
});
