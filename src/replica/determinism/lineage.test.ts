/** Are processes and threads told apart by names that are the same in every replica? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sandbox, SKIP_LIBC, START_MS } from './testing.ts';

/** Answers with what children and threads draw that it starts for the request in all ways, and the threads of its start. */
const THREADS = `
  import { execFileSync } from 'node:child_process';
  import http from 'node:http';
  import { once } from 'node:events';
  import { getEnvironmentData, setEnvironmentData, SHARE_ENV, Worker } from 'node:worker_threads';
  setEnvironmentData('own', 'kept');
  const DRAW = \`
    import { parentPort, workerData, getEnvironmentData, Worker } from 'node:worker_threads';
    import { execFileSync, execFile } from 'node:child_process';
    const draw = () => [crypto.randomUUID(), Math.random()];
    const seen = [workerData, getEnvironmentData('own'), getEnvironmentData('SPARE_LINEAGE'), process.env.SPARE_LINEAGE !== undefined];
    const print = ['-p', 'crypto.randomUUID()'];
    parentPort.on('message', (way) => {
      if (way === 'plain') parentPort.postMessage([seen, draw()]);
      if (way === 'sync') parentPort.postMessage([draw(), String(execFileSync(process.execPath, print))]);
      if (way === 'child') execFile(process.execPath, print, (error, out) => parentPort.postMessage([draw(), out]));
      if (way === 'nested') {
        const inner = new Worker('(await import("worker_threads")).parentPort.postMessage(crypto.randomUUID())', { eval: true });
        inner.once('message', (drawn) => parentPort.postMessage([draw(), drawn]));
      }
    });\`;
  class Own extends Worker {}
  const ask = async (worker, way) => { worker.postMessage(way); return (await once(worker, 'message'))[0]; };
  const atStart = [1, 2].map(() => new Worker(DRAW, { eval: true, workerData: 'start' }));
  http.createServer(async (request, response) => {
    const drawn = [];
    for (const worker of atStart) drawn.push(await ask(worker, 'plain'));
    drawn.push(String(execFileSync(process.execPath, ['-p', 'crypto.randomUUID()'])));
    for (const [Class, way, env] of [
      [Worker, 'plain'], [Worker, 'plain', SHARE_ENV], [Own, 'sync', { ...process.env }], [Worker, 'child'], [Worker, 'nested'],
    ]) {
      const worker = new Class(DRAW, { eval: true, workerData: { way }, env });
      drawn.push(await ask(worker, way));
      await worker.terminate();
    }
    try { new Worker(5); } catch (error) { drawn.push(error.code, getEnvironmentData('SPARE_LINEAGE') ?? null); }
    response.end(JSON.stringify(drawn));
  }).listen(process.env.LISTEN, () => console.log('up'));`;

void test('threads draw the same numbers in an entry however many were started before it', async () => {
  await using sandbox = new Sandbox();
  const at = async (ask: (path: string) => Promise<string>, index: number): Promise<string> => {
    sandbox.set({ index, seed: Buffer.alloc(32, index) });
    return ask('/');
  };
  const old = await sandbox.serve('node', THREADS);
  const third = await at(old, 3);
  const ninth = await at(old, 9);
  sandbox.set({});
  const fresh = await sandbox.serve('node', THREADS);
  assert.equal(await at(fresh, 9), ninth);
  const drawn = [third, ninth].flatMap((reply) => reply.match(/[\da-f-]{36}|0\.\d+/g) ?? []);
  assert.ok(drawn.length > 30);
  assert.ok(
    ninth.includes('[[{"way":"plain"},"kept",null,true],'),
    'a thread sees nothing of its name but the variable of a process',
  );
  assert.ok(ninth.endsWith('"ERR_INVALID_ARG_TYPE",null]'), ninth);
  assert.equal(new Set(drawn).size, drawn.length, 'no two draws are the same');
});

void test('children that are waited for draw numbers of their own', { skip: SKIP_LIBC }, async () => {
  await using sandbox = new Sandbox();
  const module = `
    import { execFileSync, execSync } from 'node:child_process';
    const print = ['-p', 'crypto.randomUUID()'];
    for (let i = 0; i < 2; i++) execFileSync(process.execPath, print, { stdio: 'inherit' });
    execSync('for i in 1 2; do "$NODE" -p "crypto.randomUUID()"; done', { env: { ...process.env, NODE: process.execPath }, stdio: 'inherit' });`;
  const run = (): Promise<string> => {
    sandbox.set({});
    return sandbox.node('both', module);
  };
  const first = await run();
  assert.equal(new Set(first.trim().split('\n')).size, 4, 'no two draws are the same');
  assert.equal(await run(), first, 'they are a function of the page');
});

void test('a thread whose code is a script handed over as text has the layer before it runs, and is otherwise what it is in Node', async () => {
  await using sandbox = new Sandbox();
  const module = `
    import { once } from 'node:events';
    import { Worker } from 'node:worker_threads';
    const told = async (code) => {
      const worker = new Worker(code, { eval: true, execArgv: [] });
      return once(worker, 'message').catch(String);
    };
    const post = (what) => 'require("worker_threads").parentPort.postMessage(' + what + ')';
    console.log(JSON.stringify([
      await told(post('[crypto.randomUUID(), Math.random(), performance.now(), Date.now()]')),
      await told('var kept = 1; ' + post('[globalThis.kept, __filename, typeof module, process.argv.slice(1)]')),
      await told('import("node:os").then((os) => ' + post('typeof os.hostname') + ')'),
      await told('import { parentPort } from "node:worker_threads"; parentPort.postMessage(performance.now())'),
      await told('throw new TypeError("thrown")'),
      await told('not a program'),
    ]));`;
  const first: unknown[] = JSON.parse(await sandbox.node('node', module));
  assert.deepEqual(JSON.parse(await sandbox.node('node', module)), first);
  const [drawn, ...others] = first as [unknown[][]];
  assert.deepEqual(drawn[0]?.slice(2), [0, START_MS]);
  assert.deepEqual(others, [
    [[1, '[worker eval]', 'object', ['[worker eval]']]],
    ['function'],
    [0],
    'TypeError: thrown',
    "SyntaxError: Unexpected identifier 'a'",
  ]);
});

void test('the clocks of a process that gets to look at the page in a later entry count from when it was started', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve(
    'node',
    `import { execFile } from 'node:child_process';
     import { writeFileSync } from 'node:fs';
     import http from 'node:http';
     import { promisify } from 'node:util';
     const flag = process.env.LISTEN + '-go';
     const script = 'until [ -e "$0" ]; do sleep 0.02; done; exec "$1" -p "[performance.timeOrigin, performance.now(), process.uptime()]"';
     const started = promisify(execFile)('sh', ['-c', script, flag, process.execPath]);
     http.createServer(async (request, response) => {
       writeFileSync(flag, '');
       response.end((await started).stdout.trim());
     }).listen(process.env.LISTEN, () => console.log('up'));`,
  );
  sandbox.set({ index: 5, timeMs: START_MS + 5000 });
  assert.equal(await ask('/'), `[ ${START_MS}, 5000, 5 ]`);
});
