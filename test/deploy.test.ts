/**
 * Is a new version of a service taken over by the whole group at once, under load, without a request that fails or an entry that is
 * lost, although the two versions answer differently? And is the old one left alone when the new one does not work?
 */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdtempDisposableSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { askAdmin } from '../src/cli/admin-client.ts';
import { SpareError } from '../src/errors.ts';
import { call } from './support/call.ts';
import { lines } from './support/ledger.ts';
import { PATIENCE_MS, SERVICES, Spare } from './support/spare.ts';

const CLIENTS = 6;
/** Takes a good second to read. */
const LARGE_BYTES = 1024 ** 3;

interface Line {
  readonly number: number;
  readonly name: string;
  readonly version?: number;
}

/** A ledger in a folder of its own, whose next version says its number in each reply. */
class Site implements Disposable {
  readonly #place = mkdtempDisposableSync(join(tmpdir(), 'spare-site-'));
  readonly server: string = join(this.#place.path, 'server.mjs');
  readonly config: { folder: string; command: string[]; state: string[] };

  constructor() {
    copyFileSync(join(SERVICES, 'ledger.mjs'), this.server);
    this.config = { folder: this.#place.path, command: ['node', 'server.mjs'], state: ['ledger.db'] };
  }

  /** Version 2 and later; each looks for the text of the one before. */
  change(version: number): void {
    const text = readFileSync(this.server, 'utf8');
    const next = text.replace(/, name(, version: \d+)? }\)/, `, name, version: ${version} })`);
    assert.notEqual(next, text);
    writeFileSync(this.server, next);
  }

  spoil(): void {
    writeFileSync(this.server, `console.log('out of order'); process.exit(3);`);
  }

  [Symbol.dispose](): void {
    this.#place.remove();
  }
}

/** Clients that add lines one after another, until they are told to stop; throws what went wrong. */
class Load {
  readonly #clients: Promise<Line[]>[];
  #stopped = false;
  /** Of all clients. */
  count = 0;
  /** That of the last line. */
  version = 0;

  constructor(url: string) {
    this.#clients = Array.from({ length: CLIENTS }, (_, client) => this.#run(url, client));
    for (const client of this.#clients) client.catch(() => {});
  }

  async #run(url: string, client: number): Promise<Line[]> {
    const lines: Line[] = [];
    for (let turn = 0; !this.#stopped; turn++) {
      const name = `${client}/${turn}`;
      const reply = await fetch(url, { method: 'POST', body: name });
      assert.equal(reply.status, 200);
      const line = (await reply.json()) as Line;
      assert.equal(line.name, name);
      lines.push(line);
      this.count++;
      this.version = line.version ?? 1;
    }
    return lines;
  }

  /** All lines that were acknowledged, by their numbers. */
  async stop(): Promise<Line[]> {
    this.#stopped = true;
    const lines = (await Promise.all(this.#clients)).flat();
    return lines.toSorted((a, b) => a.number - b.number);
  }
}

function codeOf(error: unknown): string {
  return error instanceof SpareError ? error.code : String(error);
}

async function kept(url: string): Promise<string[]> {
  return (await lines(url)).map(({ number, name }) => `${number} ${name}`);
}

for (const faults of [1, 2]) {
  test(`P1 P2 P3: f = ${faults}, a version that answers otherwise takes over under load, at one entry`, async () => {
    using site = new Site();
    await using spare = await new Spare({ ...site.config, faults }).start();
    const before = new Set((await spare.status()).replicas.map(({ id }) => id));
    const load = new Load(spare.url);
    const answers = (version: number): Promise<void> =>
      spare.until(`version ${version} answers`, PATIENCE_MS, () => load.version === version);
    await answers(1);
    site.change(2);
    const done = await call('deploy', '--data', spare.data);
    assert.match(done.text, /^deployed {3}image [0-9a-f]{12}, after \d+\.\d s$/m);
    await answers(2);
    const lines = await load.stop();
    // Numbers are given in the order of execution: the version changes once.
    const versions = lines.map(({ version = 1 }) => version);
    assert.ok(versions.includes(1) && versions.includes(2));
    assert.deepEqual(
      versions,
      versions.toSorted((a, b) => a - b),
    );
    assert.deepEqual(
      lines.map(({ number }) => number),
      lines.map((_line, i) => i + 1),
    );
    assert.deepEqual(
      await kept(spare.url),
      lines.map(({ number, name }) => `${number} ${name}`),
    );
    await spare.whole();
    assert.deepEqual(await spare.incidents(), []);
    assert.ok((await spare.status()).replicas.every(({ id }) => !before.has(id)));
  });
}

/** Makes its tables at its start and when it is asked to; `/fill` fills the first, any other request shows the last. */
function migrating(tables: readonly string[]): string {
  return `
    import { createServer } from 'node:http';
    import { DatabaseSync } from 'node:sqlite';
    const database = new DatabaseSync('app.db');
    const migrate = () => database.exec('${tables.map((name) => `create table if not exists ${name} (a);`).join('')}');
    migrate();
    createServer((request, response) => {
      if (request.url === '/fill') database.exec('insert into ${tables[0]} values (zeroblob(100000))');
      if (request.url === '/migrate') migrate();
      if (request.url === '/add') database.exec("insert into ${tables.at(-1)} values ('one')");
      response.end(JSON.stringify(database.prepare('select a from ${tables.at(-1)}').all()));
    }).listen(process.env.PORT);`;
}

test('P2 P4: a table that a version makes at its start, and a request has made, is found where the request made it', async () => {
  using site = new Site();
  writeFileSync(site.server, migrating(['first']));
  await using spare = await new Spare({ ...site.config, state: ['app.db'] }).start();
  const ask = async (path: string): Promise<string> => (await fetch(`${spare.url}${path}`)).text();
  await ask('/fill');
  writeFileSync(site.server, migrating(['first', 'second']));
  assert.equal((await call('deploy', '--data', spare.data)).status, 0);
  await ask('/migrate');
  assert.equal(await ask('/add'), '[{"a":"one"}]');
  await spare.signal('SIGINT');
  await spare.start();
  assert.equal(await ask('/'), '[{"a":"one"}]');
  assert.deepEqual(await spare.incidents(), []);
});

test('P2 P6: what was deployed is what a restart begins with, and what replicas are replaced with', async () => {
  using site = new Site();
  await using spare = await new Spare(site.config).start();
  site.change(2);
  const where = ['--data', spare.data];
  assert.equal((await call('deploy', ...where)).status, 0);
  assert.match((await call('deploy', ...where)).text, /nothing has changed/);
  await spare.whole();
  const [oldest] = (await spare.status()).replicas;
  assert.match((await call('recover', oldest?.id ?? '', ...where)).text, /^rotated/);
  await spare.signal('SIGKILL');
  await spare.start();
  const add = async (name: string): Promise<Line> =>
    (await (await fetch(spare.url, { method: 'POST', body: name })).json()) as Line;
  assert.equal((await add('a')).version, 2);
  await spare.signal('SIGINT');
  const nobody = await call('deploy', ...where);
  assert.match(
    nobody.text,
    /Nothing runs with .*\[not-running\]\n.* all that `spare run` is called with/,
    'and nothing says what the next start is from',
  );
  site.change(3);
  await assert.rejects(spare.start(), /\[image-changed\]/);
  const config = ['--config', join(spare.data, '../spare.config.mjs')];
  const foreign = await call('deploy', ...config, '--state', 'other.db');
  assert.match(foreign.text, /state: ledger\.db.*\[data-folder-foreign\]/);
  await assert.rejects(
    spare.start(),
    /server\.mjs .* was changed[^]*\[image-changed\]/,
    'nothing was accepted',
  );
  const accepted = await call('deploy', ...config);
  assert.match(accepted.text, /^accepted {3}image [0-9a-f]{12}; nothing runs/m);
  await spare.start();
  assert.deepEqual(await add('b'), { number: 2, name: 'b', version: 3 });
});

test('P2: two deploys at once: one is refused, and a restart begins with what the other one brought', async () => {
  using site = new Site();
  await using spare = await new Spare(site.config).start();
  site.change(2);
  const calls = await Promise.allSettled([1, 2].map(() => askAdmin(spare.data, '/deploy')));
  const outcomes = calls.map((one) => (one.status === 'fulfilled' ? 'deployed' : codeOf(one.reason)));
  assert.deepEqual(outcomes.sort(), ['deploy-under-way', 'deployed']);
  await spare.signal('SIGKILL');
  await spare.start();
  const reply = await fetch(spare.url, { method: 'POST', body: 'a' });
  assert.equal(((await reply.json()) as Line).version, 2);
});

test('P5: a group that stopped, because the service on disk has changed, answers again after a deploy; one that fails says that it has stopped', async () => {
  using site = new Site();
  await using spare = await new Spare({ ...site.config, faults: 2 }).start();
  const sound = readFileSync(site.server, 'utf8');
  site.spoil();
  for (const left of [3, 2]) {
    const victim = await spare.victim();
    process.kill(victim.pid, 'SIGKILL');
    await spare.until(`${left} are left`, PATIENCE_MS, async () => {
      const { replicas } = await spare.status();
      return replicas.filter(({ state }) => state !== 'starting').length === left;
    });
  }
  const reply = fetch(spare.url, { method: 'POST', body: 'a' });
  const failed = await call('deploy', '--data', spare.data);
  assert.match(failed.text, /out of order[^]*\[deploy-failed\]\n.* has stopped/);
  writeFileSync(site.server, sound);
  site.change(2);
  assert.match((await call('deploy', '--data', spare.data)).text, /^deployed/m);
  assert.deepEqual(await (await reply).json(), { number: 1, name: 'a', version: 2 });
  await spare.whole();
});

test('P2: the status names the version that answers, also after all was killed while another one came up', async () => {
  using site = new Site();
  await using spare = await new Spare(site.config).start();
  const image = async (): Promise<string> => (await spare.status()).image?.slice(0, 12) ?? '';
  const first = await image();
  assert.match(
    (await call('deploy', '--data', spare.data)).text,
    new RegExp(`^deployed {3}image ${first}: `),
  );
  site.change(2);
  const deployed = call('deploy', '--data', spare.data);
  await spare.until('it comes up', PATIENCE_MS, async () => (await spare.status()).replicas.length > 4);
  const [, second = ''] = /^deploying {2}image (\w+)$/m.exec(spare.output) ?? [];
  assert.equal(await image(), first);
  await spare.signal('SIGKILL');
  assert.match((await deployed).text, /\[admin-failed\]/);
  await spare.start();
  const reply = await fetch(spare.url, { method: 'POST', body: 'a' });
  assert.equal(((await reply.json()) as Line).version, 2);
  assert.equal(await image(), second);
});

test('Z1: who asked for what the end of a group cuts short is told so, and what the next start is from', async () => {
  using site = new Site();
  await using spare = await new Spare(site.config).start();
  const { id } = await spare.victim();
  const recovered = call('recover', id, '--data', spare.data);
  await spare.until('it is being replaced', PATIENCE_MS, async () => {
    const { rotations } = await spare.status();
    return rotations.underWay === id;
  });
  await spare.signal('SIGTERM');
  assert.match(
    (await recovered).text,
    /group ended while r\d was being replaced\. \[admin-failed\]\n.*start/,
  );
  await spare.start();
  site.change(2);
  const deployed = call('deploy', '--data', spare.data);
  await spare.until('it comes up', PATIENCE_MS, async () => (await spare.status()).replicas.length > 4);
  await spare.signal('SIGTERM');
  assert.match((await deployed).text, /group ended before .* taken over\. \[admin-failed\]\n.*next start/);
  assert.doesNotMatch(spare.output, /^refused/m);
  await spare.start();
  const reply = await fetch(spare.url, { method: 'POST', body: 'a' });
  assert.equal(((await reply.json()) as Line).version, 2);
});

test('Z1: who deploys what is still being measured when the group ends is told that nothing of it was accepted', async () => {
  using site = new Site();
  await using spare = await new Spare(site.config).start();
  const large = Array.from({ length: 16 }, (_, i) => join(site.config.folder, `large-${i}`));
  for (const path of large) {
    writeFileSync(path, '');
    // Holes: they take no room, but time.
    truncateSync(path, LARGE_BYTES);
  }
  const before = spare.output.length;
  const deployed = call('deploy', '--data', spare.data);
  await spare.until('it is measured', PATIENCE_MS, () => spare.output.includes('measuring', before));
  await spare.signal('SIGTERM');
  const { status, text } = await deployed;
  assert.match(text, /group ended before .* was accepted\. \[admin-failed\]\n.*accepted before/);
  assert.equal(status, 1);
  for (const path of large) rmSync(path);
  await spare.start();
});

test('Z3: what a deploy cannot change is refused, what takes effect at the next start is named, and nothing is ignored', async () => {
  using site = new Site();
  const first = { ...site.config, limits: { processes: 99, requestTimeoutMs: 20_000 } };
  await using spare = await new Spare(first).start();
  const before = (await spare.status()).replicas.map(({ id }) => id);
  const addresses = { listen: '127.0.0.1:0', admin: '127.0.0.1:0', data: spare.data };
  const configure = (changed: object): void =>
    writeFileSync(
      spare.configFile,
      `export default ${JSON.stringify({ ...addresses, ...first, ...changed })}`,
    );
  const refused = async (says: RegExp, ...args: string[]): Promise<void> => {
    const { status, text } = await call('deploy', '--data', spare.data, ...args);
    assert.match(text, says);
    assert.equal(status, 2);
  };
  const command = ['--', 'node', 'other.mjs'];
  await refused(
    /: --faults, --state, the command behind --\. \[deploy-refused\]/,
    '--faults',
    '2',
    '--state',
    'z.db',
    ...command,
  );
  const [other, linked] = [`${spare.configFile}.other.mjs`, `${spare.configFile}.linked.mjs`];
  copyFileSync(spare.configFile, other);
  symlinkSync(spare.configFile, linked);
  await refused(
    /reads \S+\/spare\.config\.mjs, .* not \S+\.other\.mjs\. \[deploy-refused\]/,
    '--config',
    other,
  );
  assert.match((await call('deploy', '--data', spare.data, '--config', linked)).text, /nothing has changed/);
  configure({ faults: 2, state: ['z.db'], hypervisor: 'qemu' });
  await refused(/: `faults`, `state`, `hypervisor`\. \[deploy-refused\]/);
  site.change(2);
  const changed = { limits: { processes: 99, requestTimeoutMs: 10_000 }, recovery: { every: '48h' } };
  configure({ ...changed, listen: '127.0.0.1:9' });
  assert.deepEqual(
    (await spare.status()).replicas.map(({ id }) => id),
    before,
  );
  const named = /^deployed .*\nnote {7}listen, recovery, limits\.requestTimeoutMs: /m;
  assert.match((await call('deploy', '--data', spare.data)).text, named);
  const again = (await call('deploy', '--data', spare.data)).text;
  assert.match(again, /nothing has changed\nnote {7}listen, recovery, limits\.requestTimeoutMs: /);
});

test('P6: a group that is not repaired, because the service on disk has changed, is made whole by a deploy', async () => {
  using site = new Site();
  await using spare = await new Spare(site.config).start();
  site.change(2);
  const victim = await spare.victim();
  process.kill(victim.pid, 'SIGKILL');
  const seen = async (): Promise<boolean> => (await spare.incidents()).some(({ kind }) => kind === 'image');
  await spare.until('the repair is refused', PATIENCE_MS, seen);
  await spare.until('two are left, and answer', PATIENCE_MS, async () => {
    const { replicas } = await spare.status();
    return replicas.filter(({ state }) => state !== 'starting').length === 2;
  });
  assert.match((await call('deploy', '--data', spare.data)).text, /^deployed/m);
  await spare.whole();
  const reply = await fetch(spare.url, { method: 'POST', body: 'a' });
  assert.equal(((await reply.json()) as Line).version, 2);
});

test('P5: a version that does not start takes nothing over: the old one serves on, and it is said why', async () => {
  using site = new Site();
  await using spare = await new Spare(site.config).start();
  const before = (await spare.status()).replicas.map(({ id }) => id);
  const sound = readFileSync(site.server, 'utf8');
  const load = new Load(spare.url);
  site.spoil();
  const failed = await call('deploy', '--data', spare.data);
  assert.equal(failed.status, 1);
  assert.match(
    failed.text,
    /out of order[^]*\[deploy-failed\]\n.* serves on\. .* the state as the old one leaves it/,
  );
  const { count } = load;
  await spare.until('it serves on', PATIENCE_MS, () => load.count > count + CLIENTS);
  await load.stop();
  assert.deepEqual(
    (await spare.status()).replicas.map(({ id }) => id),
    before,
  );
  const [incident, ...more] = await spare.incidents();
  assert.deepEqual(more, []);
  assert.match(incident?.done ?? '', /new version/);
  assert.match(spare.output, /^incident {3}1: replica r[45] of the new version, /m);
  assert.doesNotMatch(spare.output, /^repaired/m, 'the group was whole all the time');
  // What was accepted before is accepted again.
  const refused = await call('recover', before[0] ?? '', '--data', spare.data);
  assert.match(refused.text, /\[image-changed\]/);
  writeFileSync(site.server, sound);
  assert.match((await call('deploy', '--data', spare.data)).text, /nothing has changed/);
  assert.match(spare.output, /^image .* is what was accepted again$/m, 'and whoever is missing is started');
  assert.match((await call('recover', before[0] ?? '', '--data', spare.data)).text, /^rotated/);
  const victim = await spare.victim();
  process.kill(victim.pid, 'SIGKILL');
  await spare.until('it is repaired', PATIENCE_MS, () =>
    /^repaired {3}2 active, 2 suspended/m.test(spare.output),
  );
});

test('P6: a group that lost a replica during a deploy is not whole again because the new version sleeps', async () => {
  using site = new Site();
  await using spare = await new Spare(site.config).start();
  const before = new Set((await spare.status()).replicas.map(({ id }) => id));
  const sound = readFileSync(site.server, 'utf8');
  const waits = `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, process.env.WAIT_MS ?? 0);`;
  writeFileSync(site.server, `${waits}\n${sound}`);
  // The third of the new version is not up before all that follows has happened.
  const variants = [{}, {}, { env: { WAIT_MS: '40000' } }, {}];
  const addresses = { listen: '127.0.0.1:0', admin: '127.0.0.1:0', data: spare.data };
  writeFileSync(
    spare.configFile,
    `export default ${JSON.stringify({ ...addresses, ...site.config, variants })}`,
  );
  const deployed = call('deploy', '--data', spare.data);
  const asleep = async (): Promise<{ id: string; pid: number | null }[]> =>
    (await spare.status()).replicas.filter(({ id, state }) => !before.has(id) && state === 'suspended');
  await spare.until('as many sleep as a group needs', PATIENCE_MS, async () => (await asleep()).length === 2);
  const victim = await spare.victim();
  process.kill(victim.pid, 'SIGKILL');
  await spare.until('the others answer', PATIENCE_MS, async () => {
    const { replicas } = await spare.status();
    const active = replicas.filter(({ role, state }) => role === 'active' && state === 'running');
    return active.length === 2 && active.every(({ id }) => id !== victim.id);
  });
  const [successor] = await asleep();
  assert.ok(successor !== undefined && successor.pid !== null);
  process.kill(successor.pid, 'SIGKILL');
  assert.match((await deployed).text, /\[deploy-failed\]/);
  assert.doesNotMatch(spare.output, /^repaired/m);
  writeFileSync(site.server, sound);
  await spare.until('it is repaired', PATIENCE_MS, () =>
    /^repaired {3}2 active, 2 suspended/m.test(spare.output),
  );
  await spare.whole();
});
