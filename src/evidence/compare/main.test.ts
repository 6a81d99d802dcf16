/** Is what a comparison has found kept though the process ends before it has found all? */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../../domains/conformance-peer.ts';
import { childrenOf, commandLine, isAlive } from '../../domains/process/tree.ts';
import { encodeReply } from '../../wire/http.ts';
import { CASE_FILE } from '../exhibits.ts';
import { type Comparison, COMPARISON_FILE } from './difference.ts';
import { compareVotes, type StateAtHand } from './tool.ts';

const reply = (status: number, body = ''): Buffer =>
  encodeReply({ status, headers: [], body: Buffer.from(body) });

const NOT_AT_HAND = { why: 'it is large' };

/** What is told of these parts, of which the second of a kind is r1's. */
async function told(
  parts: Readonly<Record<string, Buffer>>,
  before: StateAtHand,
  ended = (comparing: Promise<void>): Promise<void> => comparing,
): Promise<Comparison[]> {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-main-'));
  const listed = Object.entries(parts).map(([file, bytes]) => {
    writeFileSync(join(place.path, file), bytes);
    return { file, kind: file.split('-')[0], digest: file, bytes: bytes.length, whole: true };
  });
  const votes = [{ replica: 'r1', afterMs: 1, reply: 'reply-2', update: 'update-2' }];
  const decided = { reply: 'reply-1', update: 'update-1' };
  writeFileSync(join(place.path, CASE_FILE), JSON.stringify({ votes, decided, parts: listed }));
  await ended(compareVotes(place.path, before, new AbortController().signal));
  return JSON.parse(readFileSync(join(place.path, COMPARISON_FILE), 'utf8')) as Comparison[];
}

void test('P6: a process that ends at the update has told of the reply, and at which byte the update differs', async () => {
  using scratch = mkdtempDisposableSync(join(tmpdir(), 'spare-main-scratch-'));
  const update = Buffer.from('010100', 'hex');
  const found = await told(
    { 'reply-1': reply(200), 'reply-2': reply(500), 'update-1': Buffer.alloc(0), 'update-2': update },
    { folder: scratch.path },
    // There is no state in it.
    async (comparing) => await assert.rejects(comparing, /ENOENT/),
  );
  const head = { replicas: ['r1'], against: 'the decided one' };
  assert.deepEqual(found, [
    {
      of: 'reply',
      ...head,
      differences: [{ where: 'status', is: '500', instead: '200' }],
      more: false,
      unnamed: null,
    },
    {
      of: 'update',
      ...head,
      differences: [{ where: 'update byte 0', is: '010100', instead: 'nothing' }],
      more: true,
      unnamed: null,
    },
  ]);
});

void test('P7: a JSON body that is made to fill the memory is compared all the same', async () => {
  const places = async (is: string, instead: string): Promise<string | undefined> => {
    const [found] = await told({ 'reply-1': reply(200, instead), 'reply-2': reply(200, is) }, NOT_AT_HAND);
    return found?.differences[0]?.where;
  };
  const many = (part: string, mib: number): string => `[${part.repeat((mib * 1024 ** 2) / part.length - 10)}`;
  assert.equal(await places(`${many('[],', 7.9)}1]`, '["x"]'), 'body $[0]');
  assert.match(
    (await places(`${many('{},', 3.9)}1]`, `${many('{},', 3.9)}2]`)) ?? '',
    /^body \$\[13\d{5}\]$/,
  );
  assert.match((await places(`${many('[],', 15.9)}1]`, '["x"]')) ?? '', /^body line 1, byte 1$/);
});

void test('P7: a change of millions of pages is compared within the memory, its first pages with those of the other', async () => {
  // Of each page one byte.
  const change = Buffer.from([1, 1, 0, 1, 7]);
  const start = Buffer.from('0101010cfeffffff0f', 'hex');
  const update = (count: number): Buffer =>
    Buffer.concat([start, Buffer.alloc(change.length * count, change), Buffer.alloc(1)]);
  const found = await told({ 'update-1': update(1), 'update-2': update(3_000_000) }, NOT_AT_HAND);
  assert.deepEqual(found[0]?.differences[0], { where: 'page 2', is: '07', instead: 'nothing' });
  assert.equal(found[0].unnamed, NOT_AT_HAND.why);
});

void test('P7: a comparison that does not end goes with Spare, however that ends', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-main-'));
  // Who reads it waits for ever.
  execFileSync('sh', ['-c', 'mkfifo "$0"', join(place.path, CASE_FILE)]);
  const code = `
    import { compareVotes } from ${JSON.stringify(import.meta.resolve('./tool.ts'))};
    const comparing = compareVotes(${JSON.stringify(place.path)}, { why: '' }, new AbortController().signal);
    console.log('it has begun');
    await comparing;`;
  const args = ['--input-type=module', '-e', code];
  const spare = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(spare.stdout, 'data');
  const pid = childrenOf(spare.pid ?? 0).find((child) => commandLine(child).includes('--permission')) ?? 0;
  assert.ok(pid > 0);
  spare.kill('SIGKILL');
  const isGone = await eventually(() => !isAlive(pid));
  if (!isGone) process.kill(pid, 'SIGKILL');
  assert.ok(isGone);
});
