/**
 * Does `spare` refuse what cannot work in words that a person understands, and leave nothing behind: no process, no
 * half-made data folder? Do starts beside each other leave each other's data alone?
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, truncateSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite, test } from 'node:test';
import { ERROR_CODES, type ErrorCode } from '../src/errors.ts';
import { Call, Place } from './support/call.ts';
import { GOOD, SERVICE } from './support/hello.ts';
import { ROOT } from './support/spare.ts';

interface Refusal {
  readonly code: ErrorCode;
  /** In the message or the hint, for the person. */
  readonly says: RegExp;
  readonly config?: Readonly<Record<string, unknown>>;
  /** Instead of `run --config`. */
  readonly args?: readonly string[];
  readonly prepare?: (place: Place) => void;
}

function database(place: Place, name: string, journal: string): void {
  const db = new DatabaseSync(join(place.folder, name));
  db.exec(`pragma journal_mode = ${journal}; create table t (a); insert into t values (1)`);
  db.close();
}

/** 6 KiB, as Ruby prints it. */
const TRACE =
  'echo the cause; i=0; while [ $((i += 1)) -le 100 ]; do ' +
  'printf "\\tfrom main.rb:$i:in one of the functions of this program\\n"; done; exit 1';

const run = (...args: string[]): string[] => ['run', '--config', 'spare.config.mjs', ...args];
const config = (text: string) => (place: Place) => void place.write('spare.config.mjs', text);

const REFUSALS: Readonly<Record<string, Refusal>> = {
  'a program that is to be told of incidents, and is not there': {
    code: 'command-not-found',
    says: /no program `\.\/tell` .*`onIncident`[^]*\/tell;/,
    config: { onIncident: { command: ['./tell'] } },
  },
  'a program that is not there': {
    code: 'command-not-found',
    says: /no program `nod`[^]*PATH/,
    config: { command: ['nod', 'service.mjs'] },
  },
  'no command': { code: 'command-missing', says: /behind --/, config: { command: undefined } },
  'no word on the state': { code: 'state-missing', says: /--state/, config: { state: undefined } },
  'an unknown key': { code: 'config-invalid', says: /`fault`[^]*faults/, config: { fault: 1 } },
  'an unknown limit': {
    code: 'config-invalid',
    says: /`limits\.memory`[^]*memoryBytes/,
    config: { limits: { memory: 1 } },
  },
  'a text for a number': {
    code: 'config-invalid',
    says: /`limits\.processes`.*whole number/,
    config: { limits: { processes: '8' } },
  },
  'a configuration that throws': {
    code: 'config-invalid',
    says: /config\.mjs: boom/,
    prepare: config('throw new Error("boom")'),
  },
  'a configuration that is not there': {
    code: 'config-not-found',
    says: /other\.ts/,
    args: ['run', '--config', 'other.ts'],
  },
  'no faults': { code: 'faults-out-of-range', says: /1 to 4, not 0/, config: { faults: 0 } },
  'too many faults': { code: 'faults-out-of-range', says: /1 to 4, not 5/, config: { faults: 5 } },
  'half a fault': { code: 'faults-out-of-range', says: /1 to 4, not 1\.5/, args: run('--faults', '1.5') },
  'faults that are no number': { code: 'faults-out-of-range', says: /not "x"/, args: run('--faults', 'x') },
  'an unknown flag': { code: 'config-invalid', says: /no option --fast\.\s/, args: run('--fast') },
  'an unknown verb': { code: 'config-invalid', says: /"walk"/, args: ['walk'] },
  'no verb': { code: 'config-invalid', says: /`spare run`/, args: ['--', 'node', 'service.mjs'] },
  'an unknown hypervisor': {
    code: 'hypervisor-unknown',
    says: /"xen"[^]*process/,
    args: run('--hypervisor', 'xen'),
  },
  'a parked process': {
    code: 'config-invalid',
    says: /Only virtual machines can be parked/,
    args: run('--suspension', 'parked'),
  },
  'an unknown depth of suspension': {
    code: 'config-invalid',
    says: /"deep"[^]*parked/,
    config: { suspension: 'deep' },
  },
  'a state file elsewhere': {
    code: 'config-invalid',
    says: /\.\.\/app\.db is not in/,
    config: { state: ['../app.db'] },
  },
  'a state file twice': {
    code: 'config-invalid',
    says: /app\.db is named twice/,
    config: { state: ['app.db', './app.db'] },
  },
  'a service folder that is not there': {
    code: 'service-folder-missing',
    says: /elsewhere/,
    config: { folder: 'elsewhere' },
  },
  'no address': { code: 'address-invalid', says: /"nowhere"[^]*host:port/, config: { listen: 'nowhere' } },
  'one address for both': {
    code: 'address-invalid',
    says: /127\.0\.0\.1:7070/,
    config: { listen: '127.0.0.1:7070', admin: ':7070' },
  },
  'an address of another host': {
    code: 'address-invalid',
    says: /`listen`/,
    config: { listen: '192.0.2.1:8080' },
  },
  'a data folder below a file': {
    code: 'data-folder-unwritable',
    says: /its path is a file[^]*would begin anew/,
    config: { data: 'service.mjs/data' },
  },
  'a data folder where nobody can make one': {
    code: 'data-folder-unwritable',
    says: /Cannot write to the data folder \/proc\/spare\/data/,
    config: { data: '/proc/spare/data' },
  },
  'a data folder that is a file': {
    code: 'data-folder-unwritable',
    says: /it is a file/,
    config: { data: 'service.mjs' },
  },
  'a folder for an image where nobody can make one': {
    code: 'data-folder-unwritable',
    says: /Cannot write to the data folder .*: a part of its path is a file/,
    args: ['image', 'build', '--config', 'spare.config.mjs', '--data', 'service.mjs/data'],
  },
  'a folder for an image with files of others': {
    code: 'data-folder-foreign',
    says: /holds files .*: notes\.txt/,
    args: ['image', 'build', '--config', 'spare.config.mjs'],
    prepare: (place) => void place.write('data/notes.txt', 'mine'),
  },
  'an image of what is not there': {
    code: 'image-build-failed',
    says: /./,
    config: { hypervisor: 'qemu', image: { include: ['/none/of/it'] } },
    args: ['image', 'build', '--config', 'spare.config.mjs'],
  },
  'a data folder with files of others': {
    code: 'data-folder-foreign',
    says: /holds files .*: notes\.txt/,
    prepare: (place) => void place.write('data/notes.txt', 'mine'),
  },
  'a data folder that was being restored': {
    code: 'data-folder-damaged',
    says: /data has not been restored to the end[^]*Remove it otherwise/,
    prepare: (place) => mkdirSync(join(place.write('data/checkpoint-3', '').folder, 'data/domains')),
  },
  'a data folder that was being restored, with an image in it': {
    code: 'data-folder-damaged',
    says: /data has not been restored to the end[^]*Remove it otherwise/,
    prepare: (place) => mkdirSync(join(place.write('data/images/some/root', '').folder, 'data/domains')),
  },
  'a data folder with a folder of others': {
    code: 'data-folder-foreign',
    says: /holds files .*: domains, photo\.jpg/,
    prepare: (place) => void place.write('data/domains/photo.jpg', '').write('data/photo.jpg', ''),
  },
  'a data folder that is damaged': {
    code: 'data-folder-damaged',
    says: /spare\.db/,
    prepare: (place) => void place.write('data/spare.db', 'not a database, for sure'.repeat(100)),
  },
  'a database in another journal mode': {
    code: 'state-not-wal',
    says: /app\.db[^]*PRAGMA journal_mode=WAL/,
    prepare: (place) => database(place, 'app.db', 'delete'),
  },
  'a state file that is no database': {
    code: 'state-not-database',
    says: /app\.db: not a SQLite database/,
    prepare: (place) => void place.write('app.db', 'hello'),
  },
  'a service that ends at once': {
    code: 'service-start-failed',
    says: /ended before it listened: `node -e .*`: exit status 3/,
    config: { command: ['node', '-e', 'process.exit(3)'] },
  },
  'a service that ends with a long trace, and its cause above it': {
    code: 'service-start-failed',
    says: /Its last output:\n  the cause\n  \tfrom main\.rb:1:.*\n  \tfrom main\.rb:2:/,
    config: { command: ['sh', '-c', TRACE] },
  },
  'a script that starts a program which copies do not have': {
    code: 'service-start-failed',
    says: /exit status \d+\.[^]*Of programs and files, a copy has at most those of \/usr/,
    config: { command: ['sh', 'start.sh'] },
    prepare: (place) => void place.write('start.sh', `exec ${join(ROOT, 'bin/spare.mjs')}\n`),
  },
  'a service that never listens': {
    code: 'service-start-failed',
    says: /did not listen on port \d+ \(\$PORT\) within/,
    config: { command: ['node', '-e', 'setInterval(() => {}, 1000)'], limits: { startTimeoutMs: 500 } },
  },
  'a service that writes more than one entry may': {
    code: 'service-start-failed',
    says: /the service changed more than 64 MiB of its state at once/,
    prepare: (place) =>
      void place.write(
        'service.mjs',
        SERVICE.replace("db.exec('", "db.exec('create table large as select randomblob(67108864) as b; "),
      ),
  },
  'a service whose start writes what each copy has another one of': {
    code: 'service-not-deterministic',
    says: /different states[^]* behind ".*signing key"/,
    prepare: (place) =>
      void place.write(
        'service.mjs',
        `import { readFileSync } from 'node:fs';
         const uuid = readFileSync('/proc/sys/kernel/random/uuid', 'utf8');
         ${SERVICE.replace("db.exec('", "db.exec(`create table keys as select 'signing key' as name, '${uuid}' as key`); db.exec('")}`,
      ),
  },
  'a service that leaves WAL mode': {
    code: 'service-start-failed',
    says: /app\.db: not in WAL mode; the service must leave/,
    prepare: (place) =>
      void place.write(
        'service.mjs',
        SERVICE.replace("db.exec('", "db.exec('pragma journal_mode = delete; "),
      ),
  },
};

async function refused(refusal: Refusal): Promise<void> {
  using place = new Place();
  place.write('service.mjs', SERVICE).configure({ ...GOOD, ...refusal.config });
  refusal.prepare?.(place);
  const before = place.files();
  await using call = new Call(place.folder, refusal.args ?? run());
  const status = await call.end();
  assert.match(call.stderr, new RegExp(`^spare: [^]*\\[${refusal.code}\\]\n  .+\n$`));
  assert.match(call.stderr, refusal.says);
  assert.doesNotMatch(call.stderr, /\n\s+at /, 'no stack');
  assert.equal(status, ERROR_CODES[refusal.code]);
  assert.deepEqual(place.files(), before);
  assert.deepEqual(await call.left(), []);
}

void suite('refused, with nothing left behind', { concurrency: 3 }, () => {
  for (const [name, refusal] of Object.entries(REFUSALS)) void test(name, () => refused(refusal));

  for (const key of ['listen', 'admin']) {
    void test(`${key}: an address in use`, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      await refused({
        code: 'address-in-use',
        says: new RegExp(`127\\.0\\.0\\.1:${port} \\(\`${key}\`\\) is in use[^]*--${key}`),
        config: { [key]: `127.0.0.1:${port}` },
      });
      server.close();
    });
  }
});

void suite('help', { concurrency: 3 }, () => {
  for (const args of [[], ['--help'], ['-h'], ['run', '--help']]) {
    void test(`spare ${args.join(' ')}`, async () => {
      using place = new Place();
      await using call = new Call(place.folder, args);
      assert.equal(await call.end(), 0);
      assert.match(call.stdout, /^Spare [^]*Usage: spare run [^]*--state FILE/);
    });
  }

  void test('spare --version', async () => {
    using place = new Place();
    await using call = new Call(place.folder, ['--version']);
    assert.equal(await call.end(), 0);
    assert.match(call.stdout, /^\d+\.\d+\.\d+\n$/);
  });
});

/** Of a file, with nothing in it, that takes long to be put into an image. */
const IMAGE_BYTES = 1024 ** 3;

void test('what runs keeps others off its data, ends wholly at Ctrl-C, and its data is for no other service', async () => {
  using place = new Place();
  place.write('service.mjs', SERVICE).configure(GOOD);
  await using call = place.run();
  const { service, status } = await call.ready();
  assert.equal(await (await fetch(service)).text(), 'hello');

  await using second = place.run();
  assert.equal(await second.end(), 1);
  assert.match(second.stderr, /Another Spare[^]*\[data-folder-in-use\]/);
  assert.equal(await (await fetch(service)).text(), 'hello');

  call.kill('SIGINT');
  await call.until(() => call.stdout.includes('stopping'));
  call.kill('SIGINT');
  call.kill('SIGTERM');
  assert.equal(await call.end(), 0);
  assert.equal(call.stderr, '');
  assert.deepEqual(await call.left(), []);
  for (const url of [service, status]) await assert.rejects(fetch(url));
  assert.ok(place.files().includes('data/spare.db'));

  const before = place.configure({ ...GOOD, state: ['other.db'] }).files();
  await using other = place.run();
  assert.equal(await other.end(), 1);
  assert.match(other.stderr, /another service: .*state: app\.db[^]*\[data-folder-foreign\]/);
  assert.deepEqual(place.files(), before);
});

test('P2: a version in another folder that is not accepted yet does not start, and it is said how it would', async () => {
  using place = new Place();
  place.write('old/service.mjs', SERVICE).configure({ ...GOOD, folder: 'old' });
  await using first = place.run();
  await first.ready();
  first.kill('SIGINT');
  assert.equal(await first.end(), 0);
  place.write('new/service.mjs', SERVICE).configure({ ...GOOD, folder: 'new' });
  await using early = place.run();
  assert.equal(await early.end(), 1);
  assert.match(early.stderr, /\[data-folder-foreign\][^]*accept it with `spare deploy`/);
  await using accepts = new Call(place.folder, ['deploy', '--config', 'spare.config.mjs']);
  assert.equal(await accepts.end(), 0);
  await using second = place.run();
  await second.ready();
});

test('P2: of two starts at once with a new data folder, the refused one takes nothing of the other with it', async () => {
  // Which one looks into the folder when is up to the system.
  for (let i = 0; i < 6; i++) {
    using place = new Place();
    place.write('service.mjs', SERVICE).configure(GOOD);
    await using one = place.run();
    await using other = place.run();
    const refusedFirst = await Promise.race(
      [one, other].map(async (call) => [await call.end(), call] as const),
    );
    assert.match(refusedFirst[1].stderr, /\[data-folder-/);
    assert.ok(place.files().includes('data/spare.db'));
  }
});

test('P2: an image that is not built to the end takes no data with it of a group that began there meanwhile', async () => {
  using place = new Place();
  place.write('service.mjs', SERVICE).write('large.bin', '').configure(GOOD);
  truncateSync(join(place.folder, 'large.bin'), IMAGE_BYTES);
  await using call = new Call(place.folder, ['image', 'build', '--config', 'spare.config.mjs']);
  await call.until(() => existsSync(join(place.folder, 'data/images')));
  place.write('data/spare.db', '').write('data/domains/r0/state', '');
  call.kill('SIGTERM');
  await call.end();
  assert.doesNotMatch(call.stdout, /digest/);
  assert.ok(place.files().includes('data/spare.db'));
});
