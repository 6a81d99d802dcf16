/** Do timers run inside entries only, and so that a replica with less history does the same (Q1 to Q5)? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sandbox, START_MS } from './testing.ts';

const service = (start: string, routes: string): string => `
  import http from 'node:http';
  import { promisify } from 'node:util';
  import timers, { setTimeout as named } from 'node:timers';
  import { pbkdf2 } from 'node:crypto';
  import { readFile } from 'node:fs/promises';
  import promised, { setTimeout as sleep, scheduler } from 'node:timers/promises';
  let log = [];
  const say = (what) => () => void log.push(what);
  ${start}
  const routes = { '/log': () => log.splice(0).join(' '), ${routes} };
  http.createServer(async (request, response) => response.end(await routes[request.url](response)))
    .listen(process.env.LISTEN, () => console.log('up'));`;

const REAL_MS = 60;
const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

void test('timers of the start are run by ticks only, in the order of their due times', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve(
    'node',
    service(
      `setInterval(say('each-20'), 20);
       setTimeout(say('at-50'), 50);
       named(say('at-30'), 30);
       const gone = setTimeout(say('never'), 30);
       const put = setTimeout(say('put-off'), 30);
       setTimeout(() => { clearTimeout(gone); put.refresh(); }, 25);
       setTimeout(say('deferred'));`,
      '',
    ),
  );
  await pass(REAL_MS);
  assert.equal(await ask('/log'), 'deferred', 'the real clock runs none of them');
  await sandbox.tick(0, 10);
  assert.equal(await ask('/log'), '');
  await sandbox.tick(10, 45);
  assert.equal(await ask('/log'), 'each-20 at-30', 'an interval fires once per tick');
  await sandbox.tick(45, 50);
  assert.equal(await ask('/log'), 'at-50', 'the end of a span belongs to it');
  await sandbox.tick(50, 60);
  await sandbox.tick(60, 80);
  await sandbox.tick(80, 90);
  assert.equal(await ask('/log'), 'each-20 put-off each-20', 'the start of a span does not');
});

void test('a start may wait for a timeout before it listens; afterwards ticks run what is left', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve(
    'node',
    service(
      `setInterval(say('each-10'), 10);
       setTimeout(say('waited-30'), 30);
       setTimeout(say('left-1500'), 1500);
       await sleep(60);`,
      '',
    ),
  );
  assert.equal(await ask('/log'), 'waited-30');
  await pass(1600);
  assert.equal(await ask('/log'), '', 'what was left no longer runs by the real clock');
  await sandbox.tick(0, 1510);
  assert.equal(await ask('/log'), 'each-10 left-1500');
});

void test('a replica that joins late does at the next tick what the others do', async () => {
  await using sandbox = new Sandbox();
  const module = service(
    `for (const ms of [700, 1000, 1500]) setInterval(say('each-' + ms), ms);
     setTimeout(say('early'), 900);
     setTimeout(say('late'), 4500);
     setTimeout(say('future'), 9000);`,
    '',
  );
  const old = await sandbox.serve('node', module);
  for (let from = 0; from < 4000; from += 1000) await sandbox.tick(from, from + 1000);
  assert.match(await old('/log'), /early/);
  sandbox.set({});
  const young = await sandbox.serve('node', module);
  await sandbox.tick(4000, 5000);
  const expected = 'each-700 each-1500 late each-1000';
  assert.deepEqual([await old('/log'), await young('/log')], [expected, expected]);
});

void test('a reply may wait for timers of its request, and only for as long as it is outstanding', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve(
    'node',
    service(
      '',
      `'/sleep': async () => {
         const seen = [await sleep(20, 'slept'), await scheduler.wait(10)];
         seen.push(await promisify(setTimeout)(10, 'promisified'));
         let rounds = 0;
         await new Promise((resolve) => { const timer = setInterval(() => ++rounds === 3 && resolve(clearInterval(timer)), 5); });
         for await (const value of promised.setInterval(5, 'round')) if (++rounds === 5) { seen.push(value); break; }
         const signal = AbortSignal.timeout(10);
         await new Promise((resolve) => signal.addEventListener('abort', resolve));
         return [...seen, rounds, signal.reason.name].join(' ');
       },
       '/after': (response) => {
         setTimeout(say('after-30'), 30);
           setTimeout(say('after-9000'), 9000);
         setInterval(say('each-20'), 20);
         response.on('close', () => setTimeout(say('after-close'), 25));
         return 'ok';
       },
         '/large': () => {
           setTimeout(say('while-sent'), 20);
           return 'x'.repeat(10_000_000);
         },`,
    ),
  );
  assert.equal(await ask('/sleep'), 'slept  promisified round 5 TimeoutError');
  assert.equal(await ask('/after'), 'ok');
  await pass(REAL_MS);
  assert.equal(await ask('/log'), '');
  await sandbox.tick(0, 22);
  await sandbox.tick(22, 40);
  assert.equal(await ask('/log'), 'each-20 after-close after-30 each-20');
  await sandbox.tick(40, 10_000);
  assert.equal(await ask('/log'), 'each-20 after-9000');
  await ask('/large', REAL_MS);
  assert.equal(await ask('/log'), '', 'a reply is complete once it was ended, though it is still being sent');
});

void test('a tick lasts until the asynchronous work of its timers is done, and survives their exceptions', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve(
    'node',
    service(
      `process.on('uncaughtException', (error) => log.push(error.message));
       setInterval(() => { throw new Error('thrown'); }, 10);
       setInterval(async () => { await promisify(pbkdf2)('a', 'b', 50_000, 32, 'sha256'); log.push('hashed'); }, 40);
       setInterval(async () => {
         for (let i = 0; i < 5000; i++) await new Promise((resolve) => setImmediate(resolve));
         log.push('promised');
       }, 61);
       setInterval(() => {
         let reads = Promise.resolve();
         for (let i = 0; i < 100; i++) reads = reads.then(() => readFile('/proc/self/stat'));
         reads.then(say('read'));
       }, 12);
       setInterval(() => setTimeout(() => setTimeout(() => setTimeout(say('deferred')))), 13);
       setInterval(async () => { await sleep(5); log.push('slept'); }, 100);`,
      '',
    ),
  );
  await sandbox.tick(0, 20);
  const log = await ask('/log');
  assert.deepEqual(log.split(' ').sort(), ['deferred', 'read', 'thrown']);
  await sandbox.tick(20, 40);
  assert.match(await ask('/log'), /hashed/);
  await sandbox.tick(60, 61);
  assert.match(await ask('/log'), /promised/);
  const start = Date.now();
  await sandbox.tick(95, 100);
  assert.ok(Date.now() - start < 2000, 'a callback that sleeps is not waited for');
  await ask('/log');
  await sandbox.tick(100, 106);
  assert.match(await ask('/log'), /slept/);
});

void test('what one timer of a tick does is done before the next one runs', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve(
    'node',
    service(
      `setInterval(() => readFile('/proc/self/stat').then(say('read')), 10);
       setInterval(async () => { await promisify(pbkdf2)('a', 'b', 50_000, 32, 'sha256'); log.push('hashed'); }, 11);
       setInterval(async () => { await sleep(5); log.push('slept'); }, 12);
       setInterval(say('at-once'), 13);`,
      '',
    ),
  );
  await sandbox.tick(0, 13);
  assert.equal(await ask('/log'), 'read hashed at-once', 'what sleeps is waited for, but not for ever');
  await sandbox.tick(13, 20);
  assert.equal(await ask('/log'), 'slept read');
});

void test('what a timer has compressed, piece by piece, is done before the tick is', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve(
    'node',
    service(
      `import { brotliDecompress, brotliCompressSync, gunzip, gzip } from 'node:zlib';
       const data = Buffer.from(Array.from({ length: 200_000 }, (_, i) => Math.imul(i, 2654435761) >>> 24));
       const packed = brotliCompressSync(data);
       setInterval(() => gzip(data, say('zipped')), 10);
       setInterval(() => brotliDecompress(packed, say('unpacked')), 11);
       setInterval(() => gunzip(Buffer.from('no gzip'), say('refused')), 12);`,
      '',
    ),
  );
  const start = Date.now();
  for (let tick = 0; tick < 3; tick += 1) {
    await sandbox.tick(tick * 660, tick * 660 + 12);
    assert.equal(await ask('/log'), 'zipped unpacked refused');
  }
  assert.ok(Date.now() - start < 2000, 'what has failed is not waited for');
});

void test('timers look and behave like those of Node', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve(
    'node',
    service(
      `const timer = setTimeout(say('refreshed'), 30);
       const byNumber = setTimeout(say('never'), 10);
       clearTimeout(+byNumber);
       const byText = setInterval(say('never'), 10);
       timers.clearInterval(String(+byText));
       setTimeout(say('never'), 10).close();
       { const scoped = setInterval(say('never'), 10); scoped[Symbol.dispose]?.(); }
       log.push(timer.hasRef(), timer.unref() === timer, timer.hasRef(), timer.ref().hasRef(), timer.constructor.name);
       setTimeout(function (a, b) { log.push(this.constructor.name, a, b); timer.refresh(); }, 20, 'a', 'b');
       clearTimeout(undefined); clearTimeout(null); clearTimeout({}); clearTimeout(12345);`,
      '',
    ),
  );
  assert.equal(await ask('/log'), 'true true false true Timeout');
  await sandbox.tick(0, 25);
  assert.equal(await ask('/log'), 'Timeout a b');
  await sandbox.tick(25, 40);
  assert.equal(await ask('/log'), '', 'a refreshed timer counts from then on');
  await sandbox.tick(40, 55);
  assert.equal(await ask('/log'), 'refreshed');
});

/** In Bun `scheduler` is a plain object: what is set on its prototype, all objects have. */
void test('the scheduler alone gets another wait, not what it inherits from', async () => {
  await using sandbox = new Sandbox();
  const module = `
    import { scheduler } from 'node:timers/promises';
    console.log(Object.getPrototypeOf(scheduler).wait === scheduler.wait);`;
  assert.equal(await sandbox.node('node', module), 'false\n');
});

void test('a process lives as long as it would with its timers, and the channel alone does not keep it', async () => {
  await using sandbox = new Sandbox();
  await sandbox.ticks();
  const ends = sandbox.node('node', `setTimeout(() => console.log('ran'), 50).unref(); console.log('end');`);
  assert.equal(await ends, 'end\n');
  const over = new AbortController();
  const module = `setTimeout(() => console.log('ran'), 50); console.log('set');`;
  const lives = sandbox.node('node', module).finally(() => over.abort());
  for (let time = 0; !over.signal.aborted; time += 60) {
    await sandbox.tick(time, time + 60);
    await pass(REAL_MS);
  }
  assert.equal(await lives, 'set\nran\n');
});

/** A thread that says when it has set a timer, and when that has run, and a child that waits. */
const HELPERS = service(
  `const { Worker } = await import('node:worker_threads');
   const { execFile } = await import('node:child_process');
   const { once } = await import('node:events');
   const worker = new Worker(\`
     import { parentPort } from 'node:worker_threads';
     parentPort.on('message', (ms) => {
       setTimeout(() => parentPort.postMessage('waited'), ms);
       parentPort.postMessage('set');
     });
   \`, { eval: true });
   await once(worker, 'online');
   worker.on('message', (what) => say(what)());
   const told = async () => (await once(worker, 'message'))[0];`,
  `'/thread': async () => (worker.postMessage(20), await told(), told()),
   '/child': async () => (await promisify(execFile)(process.execPath, ['-e', 'setTimeout(() => process.stdout.write("waited"), 20)'])).stdout,
   '/later': () => (worker.postMessage(30), told()),`,
);

for (const helper of ['thread', 'child']) {
  void test(`timers of a ${helper} that works for a request run by the real clock, for the reply may wait for them`, async () => {
    await using sandbox = new Sandbox();
    const ask = await sandbox.serve('node', HELPERS);
    sandbox.set({ index: 1, isRequest: true });
    assert.equal(await ask(`/${helper}`), 'waited');
  });
}

void test('a timer of a thread that nobody waited for is run by a tick', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve('node', HELPERS);
  sandbox.set({ index: 1, timeMs: START_MS + 100, isRequest: true });
  assert.equal(await ask('/later'), 'set');
  sandbox.answered();
  await pass(REAL_MS);
  assert.equal(await ask('/log'), 'set', 'the real clock does not run it');
  await sandbox.tick(0, 120);
  assert.equal(await ask('/log'), '');
  await sandbox.tick(120, 140);
  assert.equal(await ask('/log'), 'waited');
});

void test('nor does the real clock run it while a later request is answered', async () => {
  await using sandbox = new Sandbox();
  const ask = await sandbox.serve('node', HELPERS);
  sandbox.set({ index: 1, timeMs: START_MS + 100, isRequest: true });
  assert.equal(await ask('/later'), 'set');
  sandbox.set({ index: 2, timeMs: START_MS + 110, isRequest: true });
  await pass(REAL_MS);
  assert.equal(await ask('/log'), 'set');
  await sandbox.tick(0, 140);
  assert.equal(await ask('/log'), 'waited');
});
