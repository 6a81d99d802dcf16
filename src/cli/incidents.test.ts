/** Does what `spare incidents show` says hold, before votes are compared and where they cannot be? */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { STORE_FILE } from '../data-folder.ts';
import { type Comparison, COMPARISON_FILE } from '../evidence/compare/difference.ts';
import { CASE_FILE, type CaseFile } from '../evidence/exhibits.ts';
import { EVIDENCE_FOLDER } from '../evidence/folders.ts';
import { showIncident } from './incidents.ts';

const INCIDENT = {
  id: 1,
  index: 8,
  replica: 'r1',
  variant: 0,
  kind: 'update',
  at: '',
  what: '',
  done: '',
  console: '',
} as const;

/** What is shown of how votes differ, of a case with these parts. */
async function differs(
  parts: CaseFile['parts'],
  comparisons: readonly Comparison[] | null,
): Promise<string[]> {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-show-'));
  writeFileSync(join(place.path, STORE_FILE), '');
  const folder = join(place.path, EVIDENCE_FOLDER, '1');
  mkdirSync(folder, { recursive: true });
  const file: CaseFile = { incident: INCIDENT, entry: null, request: null, votes: [], decided: null, parts };
  writeFileSync(join(folder, CASE_FILE), JSON.stringify(file));
  if (comparisons !== null) writeFileSync(join(folder, COMPARISON_FILE), JSON.stringify(comparisons));
  const lines = (await showIncident(place.path, 1)).split('\n');
  return lines.slice(lines.findIndex((line) => line.startsWith('differs'))).slice(0, -1);
}

const PARTS = [1, 2].map((number) => ({
  file: `update-${number}`,
  kind: 'update' as const,
  digest: String(number),
  bytes: 20_000_000,
  whole: false,
}));

void test('P6: that votes are not compared yet, or that too much differs for it, is said', async () => {
  assert.deepEqual(await differs(PARTS, null), ['differs    not compared (yet)']);
  assert.deepEqual(await differs(PARTS, []), ['differs    update: not compared, for not all of it was kept']);
  assert.deepEqual(await differs([], null), []);
});

void test('P6: why tables and rows are not named is said', async () => {
  const difference = { where: 'page 2', is: '07', instead: 'nothing' };
  const head = { of: 'update', replicas: ['r1'], against: 'the decided one', more: false } as const;
  const found = { ...head, differences: [difference] };
  assert.deepEqual(await differs(PARTS, [{ ...found, unnamed: 'it is large' }]), [
    'differs    update of r1 against the decided one:',
    '             page 2: 07 instead of nothing',
    '             tables and rows are not named, for the state before it was not at hand: it is large',
  ]);
});
