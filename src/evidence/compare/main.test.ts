/** Is what a comparison has found kept though the process ends before it has found all? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeReply } from '../../wire/http.ts';
import { CASE_FILE } from '../exhibits.ts';
import { type Comparison, COMPARISON_FILE } from './difference.ts';
import { compareVotes } from './tool.ts';

const reply = (status: number): Buffer => encodeReply({ status, headers: [], body: Buffer.alloc(0) });
const PARTS = {
  'reply-1': reply(200),
  'reply-2': reply(500),
  'update-1': Buffer.alloc(0),
  'update-2': Buffer.from('010100', 'hex'),
};

void test('P6: a process that ends at the update has told of the reply, and at which byte the update differs', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-main-'));
  using scratch = mkdtempDisposableSync(join(tmpdir(), 'spare-main-scratch-'));
  const parts = Object.entries(PARTS).map(([file, bytes]) => {
    writeFileSync(join(place.path, file), bytes);
    return { file, kind: file.split('-')[0], digest: file, bytes: bytes.length, whole: true };
  });
  const votes = [{ replica: 'r1', afterMs: 1, reply: 'reply-2', update: 'update-2' }];
  const decided = { reply: 'reply-1', update: 'update-1' };
  writeFileSync(join(place.path, CASE_FILE), JSON.stringify({ votes, decided, parts }));
  // There is no state in it.
  await assert.rejects(compareVotes(place.path, scratch.path, new AbortController().signal), /ENOENT/);
  const found = JSON.parse(readFileSync(join(place.path, COMPARISON_FILE), 'utf8')) as Comparison[];
  const head = { replicas: ['r1'], against: 'the decided one' };
  assert.deepEqual(found, [
    { of: 'reply', ...head, differences: [{ where: 'status', is: '500', instead: '200' }], more: false },
    {
      of: 'update',
      ...head,
      differences: [{ where: 'update byte 0', is: '010100', instead: 'nothing' }],
      more: true,
    },
  ]);
});
