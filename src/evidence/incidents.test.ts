/** Is the list of incidents bounded, and whole whenever it is read? */
import assert from 'node:assert/strict';
import {
  closeSync,
  mkdtempDisposableSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { onSync } from '../testing.ts';
import { type Incident, Incidents, readIncidents } from './incidents.ts';

const FILE_BYTES_MAX = 8 * 1024 ** 2;
const FOUND = {
  index: 7,
  replica: 'r1',
  variant: 0,
  kind: 'crash',
  at: '2026-11-25T00:51:02.114Z',
  what: 'it ended',
  done: 'expelled',
  console: 'x'.repeat(10_000),
} as const satisfies Omit<Incident, 'id'>;

void test('P6 P7: when the list of incidents is cut, who reads it finds a whole one, and no number is given again', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-incidents-'));
  const file = join(place.path, 'incidents.jsonl');
  const all = Array.from({ length: 1500 }, (_, i) => `${JSON.stringify({ id: i + 1, ...FOUND })}\n`);
  writeFileSync(file, all.join(''), { mode: 0o600 });
  assert.ok(statSync(file).size > FILE_BYTES_MAX);
  const incidents = new Incidents(file);
  // Of who has begun to read it.
  const fd = openSync(file, 'r');
  const { id } = incidents.add({ ...FOUND, console: '' });
  const read = readFileSync(fd, 'utf8').split('\n');
  closeSync(fd);
  assert.equal(id, 1501);
  assert.equal((JSON.parse(read[0] ?? '') as Incident).id, 1);
  assert.equal((JSON.parse(read[1500] ?? '') as Incident).id, 1501);
  assert.equal(readIncidents(file).at(-1)?.id, 1501);
  assert.equal(incidents.count, 1501);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(place.path), ['incidents.jsonl']);
});

void test('P6: an incident that follows on a line that was being written when all ended is read', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-incidents-'));
  const file = join(place.path, 'incidents.jsonl');
  const whole = JSON.stringify({ id: 1, ...FOUND });
  writeFileSync(file, `${whole}\n${whole.slice(0, 50)}`);
  new Incidents(file).add(FOUND);
  assert.deepEqual(
    readIncidents(file).map(({ id }) => id),
    [1, 2],
  );
});

void test('P7 I1: a file of the longest incidents is cut to the newer half of what it may hold, and grows again before the next cut', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-incidents-'));
  const file = join(place.path, 'incidents.jsonl');
  // Of a replica that says, and prints, nothing printable.
  const longest = { ...FOUND, what: '\u{fffd}'.repeat(4096), console: '\u{fffd}'.repeat(2000) };
  const all = Array.from({ length: 999 }, (_, i) => `${JSON.stringify({ id: i + 1, ...longest })}\n`);
  writeFileSync(file, all.join(''), { mode: 0o600 });
  const incidents = new Incidents(file);
  incidents.add(longest);
  const { size, ino } = statSync(file);
  assert.ok(size <= FILE_BYTES_MAX / 2, `${size} bytes`);
  assert.ok(size > FILE_BYTES_MAX / 3, `${size} bytes`);
  assert.equal(incidents.add(longest).id, 1001);
  assert.equal(statSync(file).ino, ino);
  assert.deepEqual(readIncidents(file), incidents.latest());
});

void test('P6 I2: when the list of incidents is cut, it is on the disk before it takes the place of the longer one', (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-incidents-'));
  const file = join(place.path, 'incidents.jsonl');
  const line = `${JSON.stringify({ id: 1, ...FOUND, console: 'x'.repeat(FILE_BYTES_MAX) })}\n`;
  writeFileSync(file, line, { mode: 0o600 });
  const incidents = new Incidents(file);
  const synced: string[] = [];
  onSync(context, (path) => synced.push(path));
  incidents.add(FOUND);
  assert.deepEqual(synced, [`${file}.new`, place.path]);
});
