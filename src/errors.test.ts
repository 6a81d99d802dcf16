import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERROR_CODES, SpareError } from './errors.ts';

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
