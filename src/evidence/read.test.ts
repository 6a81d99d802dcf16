/** Is an incident shown without what somebody could act as a client with? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bytesDifference, COMPARISON_FILE } from './compare/difference.ts';
import { replyDifferences } from './compare/replies.ts';
import { encodeReply } from '../wire/http.ts';
import { CASE_FILE, type CaseFile } from './exhibits.ts';
import { readCase } from './read.ts';

const INCIDENT = {
  id: 1,
  index: 8,
  replica: 'r1',
  variant: 0,
  kind: 'reply',
  at: '',
  what: '',
  done: '',
  console: '',
} as const;
const SECRETS = ['Authorization', 'cookie', 'Idempotency-Key', 'Proxy-Authorization'];
const CASE: CaseFile = {
  incident: INCIDENT,
  entry: { kind: 'request', time: '', seed: 'secret', idempotencyKey: 'secret' },
  request: {
    method: 'POST',
    target: '/',
    headers: [...SECRETS.flatMap((name) => [name, 'secret']), 'x-asked-by', 'me'],
    bodyBytes: 0,
  },
  votes: [],
  decided: null,
  parts: [],
};

function reply(...headers: string[]): Buffer {
  return encodeReply({ status: 200, headers, body: Buffer.alloc(0) });
}

void test('W1: secrets of a client, of the service and of the entry are not shown; that they differ is, and all else', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-read-'));
  const is = reply('Set-Cookie', 'secret=1', 'Set-Cookie', 'secret=2', 'etag', 'a');
  const differences = [
    ...replyDifferences(is, reply('Set-Cookie', 'secret=3', 'etag', 'b')),
    ...replyDifferences(is, reply('etag', 'a')),
    // Of which nothing more was found: it may be within such a header.
    bytesDifference('reply', reply('Set-Cookie', 'id=secret1'), reply('Set-Cookie', 'id=Secret2')),
  ];
  writeFileSync(join(place.path, CASE_FILE), JSON.stringify(CASE));
  writeFileSync(join(place.path, COMPARISON_FILE), JSON.stringify([{ of: 'reply', differences }]));
  const found = await readCase(place.path, [INCIDENT], 1);
  assert.doesNotMatch(JSON.stringify(found), /secret/);
  assert.deepEqual(found?.evidence?.request?.headers, [
    ...SECRETS.flatMap((name) => [name, '(not shown)']),
    'x-asked-by',
    'me',
  ]);
  assert.deepEqual(found.comparisons?.[0]?.differences, [
    { where: 'header set-cookie', is: '(not shown)', instead: '(not shown)' },
    { where: 'header etag', is: '"a"', instead: '"b"' },
    { where: 'header set-cookie', is: '(not shown)', instead: 'nothing' },
    { where: 'reply byte 25', is: '(not shown)', instead: '(not shown)' },
  ]);
});

void test('W1: what is not there is not called hidden', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-read-'));
  const entry = { kind: 'tick', time: '', seed: 'secret', idempotencyKey: null };
  writeFileSync(join(place.path, CASE_FILE), JSON.stringify({ ...CASE, entry, request: null }));
  const found = await readCase(place.path, [INCIDENT], 1);
  assert.equal(found?.evidence?.entry?.idempotencyKey, null);
  assert.equal(found.evidence.request, null);
  assert.equal(found.comparisons, null);
});

void test('P6: of a folder whose files were lost with the power the incident is shown, without what is gone', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-read-'));
  writeFileSync(join(place.path, CASE_FILE), '');
  assert.deepEqual(await readCase(place.path, [INCIDENT], 1), {
    incident: INCIDENT,
    evidence: null,
    comparisons: null,
  });
  writeFileSync(join(place.path, CASE_FILE), JSON.stringify(CASE));
  writeFileSync(join(place.path, COMPARISON_FILE), Buffer.alloc(10));
  assert.equal((await readCase(place.path, [INCIDENT], 1))?.comparisons, null);
});
