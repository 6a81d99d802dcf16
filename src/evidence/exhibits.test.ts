/** Does the evidence of an incident have what was asked, who said what and when, and the bytes that differ? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digest, type Digest } from '../core/index.ts';
import { encodeRequestEntry } from '../wire/entry.ts';
import { encodeRequest } from '../wire/http.ts';
import { CASE_FILE, type CaseFile, type Exhibit, exhibitsOf, type Finds } from './exhibits.ts';
import type { Incident } from './incidents.ts';

const INCIDENT: Incident = {
  id: 1,
  index: 8,
  replica: 'r1',
  variant: 0,
  kind: 'reply',
  at: '2026-01-02T03:04:05.000Z',
  what: 'differs',
  done: 'expelled',
  console: '',
};
const AT_MS = 1000;
const ENTRY = encodeRequestEntry(
  { key: 'k', fingerprint: 'f' },
  encodeRequest({ method: 'POST', target: '/a?b', headers: ['host', 'h'], body: Buffer.from('body') }),
  AT_MS,
  Buffer.alloc(32, 5),
);
const none = digest('');
const right = { reply: digest('right'), update: digest('change') };
const BYTES: Record<string, Buffer> = {
  right: Buffer.from('a reply'),
  wrong: Buffer.from('a lie'),
  change: Buffer.from('u'),
};

function found(more: Partial<Finds>): { file: CaseFile; exhibits: Exhibit[] } {
  const exhibits = exhibitsOf(INCIDENT, {
    entry: ENTRY,
    votes: [],
    decided: null,
    bytes: (_kind, digest: Digest) => (digest === none ? Buffer.alloc(0) : (BYTES[digest] ?? null)),
    stateBefore: () => '',
    console: '',
    ...more,
  });
  const file = exhibits.find(({ file }) => file === CASE_FILE);
  return { exhibits, file: JSON.parse(Buffer.from(file?.bytes ?? '').toString()) as CaseFile };
}

const names = (exhibits: readonly Exhibit[]): string[] => exhibits.map(({ file }) => file).sort();

void test('P6: the request as it was ordered, with time, seed and key, and what was printed', () => {
  const { file, exhibits } = found({ console: 'last words' });
  assert.deepEqual(file.request, { method: 'POST', target: '/a?b', headers: ['host', 'h'], bodyBytes: 4 });
  assert.deepEqual(file.entry, {
    kind: 'request',
    time: new Date(AT_MS).toISOString(),
    seed: Buffer.alloc(32, 5).toString('base64'),
    idempotencyKey: 'k',
  });
  assert.deepEqual(names(exhibits), ['console.txt', CASE_FILE, 'request-body']);
});

void test('P6: of replies that differ all bytes are kept, the decided ones first; of updates that are equal none', () => {
  const { file, exhibits } = found({
    votes: [
      { replica: 'r1', vote: { ...right, reply: digest('wrong') }, atMs: AT_MS + 3 },
      { replica: 'r0', vote: right, atMs: AT_MS + 5 },
    ],
    decided: right,
  });
  assert.deepEqual(file.votes, [
    { replica: 'r1', afterMs: 3, reply: 'wrong', update: 'change' },
    { replica: 'r0', afterMs: 5, reply: 'right', update: 'change' },
  ]);
  assert.deepEqual(
    file.parts.map(({ file, digest, whole }) => [file, digest, whole]),
    [
      ['reply-1', 'right', true],
      ['reply-2', 'wrong', true],
    ],
  );
  assert.equal(Buffer.from(exhibits.find(({ file }) => file === 'reply-2')?.bytes ?? '').toString(), 'a lie');
});

void test('P6: a change where others made none is kept, and so is what nobody decided', () => {
  const votes = [right, { ...right, update: none }].map((vote, i) => ({
    replica: `r${i}`,
    vote,
    atMs: AT_MS,
  }));
  const { file } = found({ votes });
  assert.deepEqual(
    file.parts.map(({ file, bytes }) => [file, bytes]),
    [
      ['update-1', 1],
      ['update-2', 0],
    ],
  );
});

void test('P7: of a reply that is too large only the beginning is kept, and said so', () => {
  const large = 20 * 1024 ** 2;
  const { file, exhibits } = found({
    votes: [{ replica: 'r1', vote: { ...right, reply: digest('large') }, atMs: AT_MS }],
    decided: right,
    bytes: (_kind, digest) => (digest === 'large' ? Buffer.alloc(large) : Buffer.from('x')),
  });
  assert.equal(file.parts[1]?.whole, false);
  assert.equal(file.parts[1]?.bytes, large);
  assert.ok((exhibits.find(({ file }) => file === 'reply-2')?.bytes.length ?? large) < large);
});
