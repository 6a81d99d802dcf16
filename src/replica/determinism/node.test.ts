/**
 * Are time and randomness of a Node service a function of the page (R1 to R3, L1), with both layers and with the Node
 * layer alone?
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Sandbox, SKIP_LIBC, START_MS } from './testing.ts';

/** Everything a service can draw or ask, through the globals, CommonJS-like defaults and named ESM imports. */
const LOOK = `
  import crypto, { randomBytes, randomInt, randomUUID, randomFillSync, webcrypto } from 'node:crypto';
  import { hrtime, uptime } from 'node:process';
  import { performance as named } from 'node:perf_hooks';
  import { promisify } from 'node:util';
  const seen = {
    math: Math.random(),
    bytes: [randomBytes(8), crypto.randomBytes(8), crypto.pseudoRandomBytes(8), randomBytes(3000).subarray(2990)].map(String),
    called: String(await promisify(crypto.randomBytes)(8)),
    filled: [randomFillSync(new Uint32Array(4), 1, 2), randomFillSync(new ArrayBuffer(4)).byteLength],
    int: [randomInt(1000), randomInt(-5, 5), await promisify(randomInt)(2 ** 47)],
    uuid: [randomUUID(), webcrypto.randomUUID(), globalThis.crypto.randomUUID(), crypto.randomUUIDv7?.()],
    values: [crypto.getRandomValues(new Uint8Array(4)), globalThis.crypto.getRandomValues(new BigInt64Array(1)) + ''],
    date: [Date.now(), new Date().toJSON(), Date(), new (class Later extends Date {})().getTime()],
    origin: performance.timeOrigin,
    passed: [performance.now(), named.now(), uptime(), hrtime().join('.'), hrtime.bigint() + ''],
  };
  console.log(JSON.stringify(seen));`;

/** As what sheds load does: Directus, `@fastify/under-pressure`. */
const PRESSURE = `
  import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
  import { setTimeout as delay } from 'node:timers/promises';
  const loop = monitorEventLoopDelay({ resolution: 20 });
  loop.enable();
  await delay(50);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  await delay(50);
  const before = [loop.mean, loop.max, performance.eventLoopUtilization().utilization];
  loop.reset();
  console.log(JSON.stringify([...before, loop.mean]));`;

void test('how busy the machine is shows in no copy, however long it was', async () => {
  await using sandbox = new Sandbox();
  const [mean, max, utilization, meanAfterReset] = JSON.parse(await sandbox.node('node', PRESSURE));
  assert.equal(utilization, 0);
  for (const delayNs of [mean, max, meanAfterReset])
    assert.ok(Math.abs(delayNs / 20_000_000 - 1) < 0.01, delayNs);
});

/** As what replaces threads that are too busy. */
const THREADS = `
  import { once } from 'node:events';
  import { Worker } from 'node:worker_threads';
  const code = 'setInterval(() => {}, 1e6); process.getBuiltinModule("node:worker_threads").parentPort.postMessage(0)';
  class Own extends Worker {}
  const seen = [];
  for (const Kind of [Worker, Own]) {
    const worker = new Kind(code, { eval: true });
    await once(worker, 'message');
    seen.push(worker.performance.eventLoopUtilization().utilization);
    await worker.terminate();
  }
  console.log(...seen);`;

void test('nor how busy one of its threads is', async () => {
  await using sandbox = new Sandbox();
  assert.equal(await sandbox.node('node', THREADS), '0 0\n');
});

for (const layers of ['both', 'node'] as const) {
  void test(
    `time and randomness are a function of the page: ${layers}`,
    {
      skip: layers === 'both' && SKIP_LIBC,
    },
    async () => {
      await using sandbox = new Sandbox();
      const look = async (entry: Parameters<Sandbox['set']>[0]): Promise<Record<string, unknown>> => {
        sandbox.set(entry);
        return JSON.parse(await sandbox.node(layers, LOOK));
      };
      const first = await look({});
      assert.deepEqual(await look({}), first);
      assert.deepEqual(first['date'], [
        START_MS,
        '2023-11-14T22:13:20.000Z',
        new Date(START_MS).toString(),
        START_MS,
      ]);
      assert.deepEqual(
        [first['origin'], first['passed']],
        [START_MS, [0, 0, 0, '1700000000.0', '1700000000000000000']],
      );
      const otherSeed = await look({ seed: Buffer.alloc(32, 2) });
      const otherTime = await look({ timeMs: START_MS + 1 });
      for (const name of ['math', 'bytes', 'called', 'int', 'uuid', 'values']) {
        assert.notDeepEqual(otherSeed[name], first[name], `${name} depends on the seed`);
      }
      assert.deepEqual(otherSeed['date'], first['date']);
      assert.notDeepEqual(otherTime['date'], first['date']);
    },
  );
}

void test(
  'time stands still within an entry, however often it is asked for',
  { skip: SKIP_LIBC },
  async () => {
    await using sandbox = new Sandbox();
    const ask =
      'const seen = new Set(); for (let i = 0; i < 5000; i++) seen.add(Date.now()); console.log(...seen)';
    assert.equal(await sandbox.node('both', ask), `${START_MS}\n`);
  },
);

void test('a running service sees a new entry at once, also outside of HTTP, and its streams start anew', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve(
    'node',
    `import http from 'node:http';
     import { randomUUID } from 'node:crypto';
     let before = [];
     http.createServer((request, response) => {
       if (request.url === '/before') return response.end(JSON.stringify(before));
       const look = () => [randomUUID(), Math.random(), Date.now() - ${START_MS}, performance.now(), process.uptime()];
       response.on('close', () => setImmediate(function again() {
         if (Date.now() < ${START_MS + 4000}) setImmediate(again);
         else if (before.length === 0) before = look();
       }));
       response.end(JSON.stringify({ now: look(), before }));
     }).listen(process.env.LISTEN, () => console.log('up'));`,
  );
  const at = async (index: number): Promise<{ now: unknown[]; before: unknown[] }> => {
    sandbox.set({ index, timeMs: START_MS + index, seed: Buffer.alloc(32, index % 256) });
    return JSON.parse(await ask('/'));
  };
  const second = await at(2000);
  assert.deepEqual(second.now.slice(2), [2000, 2000, 2]);
  const third = await at(3000);
  assert.notDeepEqual(third.now.slice(0, 2), second.now.slice(0, 2));
  sandbox.set({ index: 4000, timeMs: START_MS + 4000, seed: Buffer.alloc(32, 2000 % 256) });
  while ((await ask('/before')) === '[]') await new Promise((resolve) => setTimeout(resolve, 10));
  const { before } = await at(5000);
  assert.deepEqual(before, [...second.now.slice(0, 2), 4000, 4000, 4]);
});

void test('an entry that is executed again, because what came after it was skipped, gives the same numbers again', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve(
    'node',
    `import http from 'node:http';
     import { execFile } from 'node:child_process';
     http.createServer((request, response) => {
       const own = [crypto.randomUUID(), Math.random()];
       execFile(process.execPath, ['-p', 'Math.random()'], (error, ofChild) => response.end(own + ofChild));
     }).listen(process.env.LISTEN, () => console.log('up'));`,
  );
  const execute = async (index: number): Promise<string> => {
    sandbox.set({ index, isRequest: true });
    const drawn = await ask('/');
    sandbox.answered();
    return drawn;
  };
  const first = await execute(7);
  assert.equal(await execute(7), first);
});

void test('threads and child processes of a service draw other numbers than it does', async () => {
  await using sandbox = new Sandbox();
  const module = `
    import { Worker } from 'node:worker_threads';
    import { execFile } from 'node:child_process';
    import { promisify } from 'node:util';
    const draw = 'crypto.randomUUID() + Math.random()';
    const drawn = [eval(draw)];
    for (let i = 0; i < 2; i++) {
      const worker = new Worker('import { parentPort as parent } from "worker_threads"; parent.postMessage(' + draw + ')', { eval: true });
      drawn.push(await new Promise((resolve) => worker.once('message', resolve)));
      drawn.push((await promisify(execFile)(process.execPath, ['-p', draw])).stdout.trim());
    }
    console.log(JSON.stringify(drawn));`;
  const drawn: string[] = JSON.parse(await sandbox.node('node', module));
  assert.equal(new Set(drawn).size, 5);
  assert.deepEqual(JSON.parse(await sandbox.node('node', module)), drawn);
});

void test(
  'what libc callers draw does not start the streams of an entry anew',
  { skip: SKIP_LIBC },
  async () => {
    await using sandbox = new Sandbox();
    const module = `
    import { execFileSync } from 'node:child_process';
    const draw = () => crypto.randomUUID();
    const first = draw();
    execFileSync('head', ['-c', '16', '/dev/urandom']);
    console.log(first === draw());`;
    assert.equal(await sandbox.node('both', module), 'false\n');
  },
);

void test(
  'what children draw does not depend on what their parent drew in earlier entries',
  { skip: SKIP_LIBC },
  async () => {
    await using sandbox = new Sandbox();
    const service = `
    import { randomUUID, randomInt } from 'node:crypto';
    import { execFileSync } from 'node:child_process';
    import http from 'node:http';
    http.createServer((request, response) => {
      const own = [randomUUID(), randomInt(1e9)];
      const child = execFileSync(process.execPath, ['-p', 'crypto.randomUUID()']);
      response.end(own + ' ' + execFileSync('head', ['-c', '16', '/dev/urandom']).toString('hex') + ' ' + child);
    }).listen(process.env.LISTEN, () => console.log('up'));`;
    const at = (ask: (path: string) => Promise<string>, index: number): Promise<string> => {
      sandbox.set({ index, seed: Buffer.alloc(32, index) });
      return ask('/');
    };
    const old = await sandbox.serve('both', service);
    await at(old, 3);
    const ninth = await at(old, 9);
    sandbox.set({});
    assert.equal(await at(await sandbox.serve('both', service), 9), ninth);
  },
);

void test('the functions refuse, size and call back as the originals do', async () => {
  await using sandbox = new Sandbox();
  const module = `
    import crypto from 'node:crypto';
    import timers from 'node:timers/promises';
    const code = async (act) => { try { await act(); return 'none'; } catch (error) { return error.code ?? error.name; } };
    const isLater = async (act) => { let later = false; const done = act(() => later); later = true; return done; };
    console.log(JSON.stringify([
      await code(() => crypto.randomBytes(-1)), await code(() => crypto.randomBytes(1, 'x')),
      await code(() => crypto.randomFillSync('x')), await code(() => crypto.randomFillSync(Buffer.alloc(4), 5)),
      await code(() => crypto.randomFill(Buffer.alloc(4), 1)), await code(() => crypto.randomInt(5, 5)),
      await code(() => crypto.randomInt(1, 5, 'x')), await code(() => crypto.randomUUID('x')),
      await code(() => crypto.webcrypto.getRandomValues(new Float32Array(1))),
      await code(() => crypto.webcrypto.getRandomValues.call({}, new Uint8Array(1))),
      await code(() => process.hrtime('x')), await code(() => setTimeout('x')), await code(() => setInterval()),
      await code(() => timers.setTimeout('x')), await code(() => timers.setTimeout(5, 0, { ref: 'x' })),
      await code(() => timers.setTimeout(5, 0, { signal: AbortSignal.abort() })), await code(() => AbortSignal.timeout(-1)),
      await isLater((late) => new Promise((r) => crypto.randomBytes(4, (e, b) => r([e, b.length, late()])))),
      await isLater((late) => new Promise((r) => crypto.randomFill(Buffer.alloc(4), 2, (e, b) => r([e, b[0] + b[1], late()])))),
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/.test(crypto.randomUUID()),
    ]));`;
  const under = await sandbox.node('node', module);
  const originals = await sandbox.run('node', 'env', [
    '-u',
    'SPARE_CLOCK',
    process.execPath,
    '--input-type=module',
    '-e',
    module,
  ]);
  assert.equal(under, originals);
});

/** As in Bun, where these may be written to, but not be defined anew. */
const FIXED = `
  const prototype = Object.getPrototypeOf(require('node:crypto').webcrypto);
  for (const name of ['getRandomValues', 'randomUUID']) Object.defineProperty(prototype, name, { configurable: false });`;

void test('functions that cannot be defined anew draw from the page as well', async () => {
  await using sandbox = new Sandbox();
  const fixed = join(sandbox.folder, 'fixed.cjs');
  writeFileSync(fixed, FIXED);
  const draw = 'console.log(crypto.randomUUID(), crypto.getRandomValues(new Uint32Array(2)))';
  const drawn = () => sandbox.run('node', process.execPath, ['--require', fixed, '-e', draw]);
  assert.equal(await drawn(), await drawn());
});

void test(
  'the libc layer does not touch the monotonic clock that Node itself runs on',
  { skip: SKIP_LIBC },
  async () => {
    await using sandbox = new Sandbox();
    const module = `
    import { createServer, connect } from 'node:net';
    const server = createServer().listen(0, () => {
      const socket = connect(server.address().port);
      socket.setTimeout(60, () => { console.log('idle'); process.exit(); });
    });`;
    const start = Date.now();
    assert.equal(await sandbox.node('both', module), 'idle\n');
    assert.ok(Date.now() - start >= 60);
  },
);
