/** Is the compiled agent the one of the sources that are there, and does it run? */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, cpSync, mkdtempDisposableSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AGENT_PARTS } from '../domains/process/package.ts';
import { freePort } from '../manager/port.ts';
import { type Answer, decodeAnswer, importFrames, prepareFrames, startFrames } from '../wire/channel.ts';
import { FrameReader } from '../wire/frames.ts';
import { compileAgent } from './compile.ts';
import { compiledAgent } from './compiled.ts';

const ROOT = join(import.meta.dirname, '../..');
const SERVICE = `
  const { createServer } = require('node:http');
  const isFixed = Date.now() === 12345 && Date.now() === 12345;
  if (isFixed) createServer(() => {}).listen(process.env.PORT);
`;

/** What the agent says to an order to start a service that listens only where its clock is the agreed one. */
async function answerOf(agent: string, folder: string): Promise<Answer> {
  const env = { ...process.env, SPARE_RUN: join(folder, 'run'), SPARE_WORK: folder };
  const child = spawn(process.execPath, [agent], {
    env,
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    detached: true,
  });
  const channel = child.stdio[3] as Socket;
  const command = [process.execPath, '-e', SERVICE];
  const limits = { timeoutMs: 60_000, replyBytesMax: 1 };
  const seed = Buffer.alloc(32).toString('base64');
  const order = {
    timeMs: 12345,
    seed,
    command,
    env: {},
    port: await freePort(),
    founds: true,
    ...limits,
  };
  const first = [...prepareFrames([]), ...importFrames(Buffer.alloc(0), true), ...startFrames(order)];
  for (const part of first) channel.write(part);
  const reader = new FrameReader(1024 ** 2);
  for await (const bytes of channel) {
    const [frame] = reader.read(bytes as Buffer);
    if (frame === undefined) continue;
    // With its service.
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await once(child, 'exit');
    return decodeAnswer(frame);
  }
  throw new Error('it said nothing');
}

function copySources(root: string): void {
  for (const part of AGENT_PARTS.filter((name) => name.startsWith('src/'))) {
    cpSync(join(ROOT, part), join(root, part), { recursive: true });
  }
  cpSync(join(ROOT, 'package.json'), join(root, 'package.json'));
}

test('J1: what is compiled runs, is of all that it was compiled of, and is not used once that has changed', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-compile-'));
  const root = folder.path;
  copySources(root);
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  assert.equal(compiledAgent(root), null);
  assert.equal(await compileAgent(root), true);
  const agent = compiledAgent(root);
  assert.equal(agent, join(root, 'dist/replica/agent.js'));
  assert.deepEqual(readdirSync(root).sort(), ['dist', 'node_modules', 'package.json', 'src']);
  // Nothing of the sources is needed, nor of the packages.
  rmSync(join(root, 'src'), { recursive: true });
  rmSync(join(root, 'node_modules'));
  assert.equal((await answerOf(agent, root)).type, 'result');
  assert.equal(compiledAgent(root), null);
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  copySources(root);
  assert.equal(compiledAgent(root), agent);
  for (const changed of ['wire/frames.ts', 'replica/determinism/page.mjs']) {
    await compileAgent(root);
    assert.notEqual(compiledAgent(root), null);
    appendFileSync(join(root, 'src', changed), '\n');
    assert.equal(compiledAgent(root), null, changed);
  }
});

test('J3: without a compiler an installation says so in one line, and nothing is compiled', () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-compile-'));
  copySources(folder.path);
  const script = join(folder.path, 'src/replica/compile.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /^spare: without esbuild the agent is not compiled; .*\n$/);
  assert.equal(compiledAgent(folder.path), null);
});
