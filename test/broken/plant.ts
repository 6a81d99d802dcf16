/** A copy of the tree with one edit in it; the tree itself is never touched. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { edited } from '../../sim/bugs/edit.ts';
import type { Break } from './break.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COPIED = ['package.json', 'bin', 'src', 'test', 'sim', 'fuzz', 'docs', 'examples', 'build'];
/** Tests that a wrong product keeps from ending are ended. */
const RUN_MS_MAX = 150_000;

/** The file with the edit; an edit that no longer fits is an error. */
export function editedFile(broken: Break): string {
  return edited(broken.file, readFileSync(join(ROOT, broken.file), 'utf8'), broken);
}

/** Names of the tests that failed, in a copy with this edit, or without any. */
export async function failures(broken: Break, planted: boolean): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'spare-broken-'));
  try {
    for (const part of COPIED) {
      if (existsSync(join(ROOT, part))) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    if (planted) writeFileSync(join(folder, broken.file), editedFile(broken));
    return await run(folder, broken);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function run(folder: string, { test, name = '.' }: Break): Promise<string[]> {
  const args = ['--test', '--test-reporter', 'tap', '--test-name-pattern', name, test];
  // A group of its own, so that all of it can be ended.
  const child = spawn(process.execPath, args, {
    cwd: folder,
    detached: true,
    // Or it would report to a runner that this is itself a test of.
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let ended = true;
  const timer = setTimeout(() => {
    ended = false;
    process.kill(-(child.pid ?? 0), 'SIGKILL');
  }, RUN_MS_MAX);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await once(child, 'close');
  clearTimeout(timer);
  const failed = [...output.matchAll(/^ *not ok \d+ - (.*)$/gm)].map(([, name = '']) =>
    name.replaceAll('\\', ''),
  );
  return failed.length === 0 && !ended ? ['it does not end'] : failed;
}
