/** Is the compiled agent the one of the sources that are there, and does it run? */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempDisposableSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AGENT_PARTS } from '../domains/process/package.ts';
import { compileAgent, compiledAgent } from './compile.ts';
import type { Service } from './service.ts';

const ROOT = join(import.meta.dirname, '../..');

test('J1: what is compiled runs, is of all that it was compiled of, and is not used once that has changed', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-compile-'));
  const root = folder.path;
  const copySources = (): void => {
    for (const part of AGENT_PARTS.filter((name) => name.startsWith('src/'))) {
      cpSync(join(ROOT, part), join(root, part), { recursive: true });
    }
  };
  copySources();
  cpSync(join(ROOT, 'package.json'), join(root, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  assert.equal(compiledAgent(root), null);
  compileAgent(root);
  const agent = compiledAgent(root);
  assert.equal(agent, join(root, 'dist/replica/agent.js'));
  assert.deepEqual(readdirSync(root).sort(), ['dist', 'node_modules', 'package.json', 'src']);
  // Nothing of the sources is needed but what is compiled: it gets as far as to ask for its domain.
  rmSync(join(root, 'src'), { recursive: true });
  const { stderr } = spawnSync(process.execPath, [agent], {
    encoding: 'utf8',
    env: {},
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  assert.match(stderr, /SPARE_RUN is not set/);
  // Also what is imported only once a service has been started.
  const compiled = (await import(join(root, 'dist/replica/service.js'))) as { Service: typeof Service };
  const options = { command: ['false'], env: {}, folder: root, port: 1, timeoutMs: 60_000, replyBytesMax: 1 };
  await assert.rejects(
    compiled.Service.start(options, () => {}),
    /The service ended before it listened/,
  );
  assert.equal(compiledAgent(root), null);
  copySources();
  assert.equal(compiledAgent(root), agent);
  for (const changed of ['wire/frames.ts', 'replica/determinism/page.mjs']) {
    compileAgent(root);
    assert.notEqual(compiledAgent(root), null);
    appendFileSync(join(root, 'src', changed), '\n');
    assert.equal(compiledAgent(root), null, changed);
  }
});
