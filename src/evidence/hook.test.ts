/** Is whoever is to be told of an incident told, and is it said when that fails? */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import { withDescriptors, withoutRights } from '../testing.ts';
import { callWebhook, runCommand } from './hook.ts';

const GONE_MS = 60_000;
const NEVER = new AbortController().signal;
const TOLD = { id: 7, evidence: '/evidence/7', json: '{"a":1}' };

function run(folder: string, command: readonly string[], signal: AbortSignal = NEVER): Promise<void> {
  return runCommand({ command, folder, webhook: null }, TOLD, signal);
}

function script(text: string): string[] {
  return [process.execPath, '-e', text];
}

async function allGone(pids: string): Promise<void> {
  const until = performance.now() + GONE_MS;
  for (const pid of pids.trim().split(' ')) {
    while (existsSync(`/proc/${pid}/exe`) && performance.now() < until) await delay(10);
    assert.equal(existsSync(`/proc/${pid}/exe`), false);
  }
}

void test('P6: the command gets the incident on stdin, its number and folder in its environment', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-hook-'));
  await run(
    place.path,
    script(
      `const { SPARE_INCIDENT: id, SPARE_EVIDENCE: folder } = process.env;
       const text = require('fs').readFileSync(0, 'utf8');
       require('fs').writeFileSync('told', [id, folder, text].join(' '))`,
    ),
  );
  assert.equal(readFileSync(join(place.path, 'told'), 'utf8'), '7 /evidence/7 {"a":1}');
});

void test('P6: a command that fails, or is not there, is named with its last words', async () => {
  const last = script(
    `console.log('x'.repeat(100_000)); console.error('no route\\u001b'); process.exitCode = 3`,
  );
  await assert.rejects(run(tmpdir(), last), /ended with status 3: no route\ufffd$/);
  await assert.rejects(run(tmpdir(), ['no-such-program']), /no-such-program cannot be started: .*ENOENT/);
});

void test('P6: a command that cannot be started for want of descriptors is a failure', async () => {
  await assert.rejects(
    withDescriptors(2, () => run(tmpdir(), ['true'])),
    /the command true cannot be started: too many open files/,
  );
});

void test('P7: when Spare ends, a command that hangs ends with all that it started', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-hook-'));
  const pids = join(place.path, 'pids');
  writeFileSync(pids, '');
  const controller = new AbortController();
  const running = run(
    place.path,
    ['/bin/sh', '-c', 'sleep 1000 & echo $! $$ > pids.new; mv pids.new pids; wait'],
    controller.signal,
  );
  while (readFileSync(pids, 'utf8') === '') await delay(10);
  controller.abort();
  await assert.rejects(running, /SIGKILL/);
  await allGone(readFileSync(pids, 'utf8'));
});

void test('P7 H1: when Spare is killed, too', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-hook-'));
  const pids = join(place.path, 'pids');
  writeFileSync(pids, '');
  const command = ['/bin/sh', '-c', 'sleep 1000 & echo $! $$ > pids.new; mv pids.new pids; wait'];
  const options = { command, folder: place.path, webhook: null };
  const code = `
    import { runCommand } from ${JSON.stringify(import.meta.resolve('./hook.ts'))};
    const running = runCommand(${JSON.stringify(options)}, ${JSON.stringify(TOLD)}, new AbortController().signal);
    console.log('it has begun');
    await running;`;
  const args = ['--input-type=module', '-e', code];
  const spare = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(spare.stdout, 'data');
  while (readFileSync(pids, 'utf8') === '') await delay(10);
  spare.kill('SIGKILL');
  await allGone(readFileSync(pids, 'utf8'));
});

void test('P6 H1: what a command leaves behind when it ends stays, and nobody waits for it', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-hook-'));
  const controller = new AbortController();
  await run(place.path, ['/bin/sh', '-c', 'sleep 1000 & echo $! > pid'], controller.signal);
  controller.abort();
  const pid = Number(readFileSync(join(place.path, 'pid'), 'utf8'));
  // Throws where there is no such process.
  process.kill(pid, 'SIGKILL');
});

void test(
  'P7 H1: a command that became another user, whom Spare may not end, is not waited for',
  { skip: process.getuid?.() !== 0 && 'only root becomes another user', timeout: GONE_MS },
  async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-hook-'));
    const file = join(place.path, 'pid');
    writeFileSync(file, '');
    const other = ['setpriv', '--reuid=12345', '--clear-groups', 'sh', '-c', 'echo $$; exec sleep 1000'];
    const controller = new AbortController();
    const running = run(
      place.path,
      ['sh', '-c', 'exec 3>pid; exec "$@" >&3', 'sh', ...other],
      controller.signal,
    );
    while (!readFileSync(file, 'utf8').endsWith('\n')) await delay(10);
    const pid = Number(readFileSync(file, 'utf8'));
    try {
      using _ = withoutRights();
      controller.abort();
      await assert.rejects(running, /the command sh cannot be ended/);
    } finally {
      process.kill(pid, 'SIGKILL');
    }
  },
);

async function listening(status: number): Promise<Server & { url: string }> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(status, { location: '/elsewhere' }).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return Object.assign(server, { url: `http://127.0.0.1:${port}/` });
}

void test('P6: a webhook that refuses, sends elsewhere or is not there is a failure', async () => {
  await using refusing = await listening(500);
  await assert.rejects(callWebhook(refusing.url, '{}', NEVER), /answered 500/);
  await using moved = await listening(307);
  await assert.rejects(callWebhook(moved.url, '{}', NEVER), /cannot post to/);
  await using taken = await listening(204);
  await callWebhook(taken.url, '{}', NEVER);
  const gone = await listening(204);
  gone.close();
  await assert.rejects(callWebhook(gone.url, '{}', NEVER), /ECONNREFUSED/);
});

void test('P6: of a webhook that fails only the origin is said: the rest of it may be a secret', async () => {
  const said = (url: string) =>
    callWebhook(url, '{}', NEVER).then(
      () => '',
      (error: unknown) => messageOf(error),
    );
  await using refusing = await listening(500);
  const { origin } = new URL(refusing.url);
  assert.equal(await said(`${origin}/services/T0KEN?key=T0KEN`), `${origin} answered 500`);
  await using moved = await listening(307);
  assert.doesNotMatch(await said(`${moved.url}T0KEN?key=T0KEN`), /T0KEN/);
  const gone = await listening(204);
  gone.close();
  assert.doesNotMatch(await said(`${gone.url}T0KEN?key=T0KEN`), /T0KEN/);
});
