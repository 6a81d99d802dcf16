/** Who steps back for whom? */
import assert from 'node:assert/strict';
import { existsSync, mkdtempDisposableSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { childrenOf } from '../domains/process/tree.ts';
import { startAgent } from './testing.ts';

/** By sched(7). */
const SCHED_OTHER = '0';
const SCHED_BATCH = '3';

/** Of a process or a thread: field 41 of its `stat`. */
function policyOf(folder: string): string | undefined {
  return readFileSync(join(folder, 'stat'), 'utf8').split(') ').at(-1)?.split(' ')[38];
}

test('P5: the agent interrupts nobody who works; its service is like all others', async (context) => {
  if (!existsSync('/usr/bin/chrt')) return context.skip('no util-linux');
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-courtesy-'));
  await using agent = await startAgent(join(import.meta.dirname, 'agent.ts'), folder.path);
  assert.equal(agent.answer.type, 'result');
  const threads = readdirSync(`/proc/${agent.pid}/task`);
  assert.ok(threads.length > 1);
  const policies = threads.map((thread) => policyOf(`/proc/${agent.pid}/task/${thread}`));
  assert.deepEqual(new Set(policies), new Set([SCHED_BATCH]));
  const children = childrenOf(agent.pid);
  assert.equal(children.length, 1);
  assert.equal(policyOf(`/proc/${children[0]}`), SCHED_OTHER);
  return undefined;
});
