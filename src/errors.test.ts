import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERROR_CODES, roomOrOther, SpareError } from './errors.ts';

const PAGE = readFileSync(new URL('../docs/ERRORS.md', import.meta.url), 'utf8');

/** Sections `### code`, each with the exit status that it names. */
function explained(): Record<string, number> {
  const sections = PAGE.split(/^#+ /m).filter((section) => /^[a-z-]+\n/.test(section));
  return Object.fromEntries(
    sections.map((section) => [
      section.slice(0, section.indexOf('\n')),
      Number(/^Exit status (\d)\./m.exec(section)?.[1]),
    ]),
  );
}

void test('docs/ERRORS.md explains every code, no other, and says its exit status', () => {
  assert.deepEqual(explained(), { ...ERROR_CODES });
});

void test('an error has a code, an exit status, a hint and its cause', () => {
  const cause = new Error('why');
  const error = new SpareError('address-in-use', 'What.', { hint: 'Do this.', cause });
  assert.deepEqual([error.message, error.hint, error.cause], ['What.', 'Do this.', cause]);
  assert.equal(error.exitStatus, 1);
  assert.ok(!('cause' in new SpareError('address-in-use', 'What.', { hint: 'Do this.' })));
});

void test('P2: a full disk is that of the data folder where the system names a file in it, or none', () => {
  const full = (names: object): Error => Object.assign(new Error('no room'), { code: 'ENOSPC', ...names });
  const wrapped = (cause: Error): Error => new Error('it did not start', { cause });
  for (const there of [{}, { path: '/data/a' }, { path: '/srv/a', dest: '/data/a' }])
    for (const error of [full(there), wrapped(full(there))])
      assert.equal((roomOrOther('/data', error) as SpareError).message, 'Using /data failed: no room.');
  for (const elsewhere of [{ path: '/tmp/a' }, { path: '/data/a', dest: '/tmp/a' }, { path: '/data2/a' }])
    for (const error of [full(elsewhere), wrapped(full(elsewhere))])
      assert.equal(roomOrOther('/data', error), error);
});
