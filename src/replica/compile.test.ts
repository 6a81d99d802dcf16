/** Is the compiled agent the one of the sources that are there, and does it run? */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempDisposableSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AGENT_PARTS } from '../domains/process/package.ts';
import { compileAgent } from './compile.ts';
import { compiledAgent } from './compiled.ts';
import { startAgent } from './testing.ts';

const ROOT = join(import.meta.dirname, '../..');

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
  {
    await using started = await startAgent(agent, root);
    assert.equal(started.answer.type, 'result');
  }
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
