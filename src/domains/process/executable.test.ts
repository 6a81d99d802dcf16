import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';

import { SpareError } from '../../errors.ts';
import { findExecutable } from './executable.ts';

const base = mkdtempSync(join(tmpdir(), 'spare-executable-'));
after(() => rmSync(base, { recursive: true }));

function program(path: string): string {
  mkdirSync(join(base, path, '..'), { recursive: true });
  writeFileSync(join(base, path), '#!/bin/sh\n', { mode: 0o755 });
  return join(base, path);
}

void it('names the installation of every hop that a program is linked through', () => {
  program('versions/node-v26/bin/node');
  for (const name of ['shelf', 'chosen']) mkdirSync(join(base, name));
  symlinkSync('../chosen/node', join(base, 'shelf', 'node'));
  symlinkSync('../versions/node-v26/bin/node', join(base, 'chosen', 'node'));
  const found = findExecutable('node', join(base, 'service'), `/nowhere:${join(base, 'shelf')}`, []);
  assert.equal(found.path, join(base, 'shelf', 'node'));
  const needed = ['shelf', 'chosen', 'versions/node-v26'].map((name) => join(base, name));
  assert.deepEqual(found.needed, needed);
});

void it('finds a program in the folder that a link of the search path leads to: links in there are relative to that', () => {
  program('store/real/tool/bin/tool');
  mkdirSync(join(base, 'store/real/bin'));
  symlinkSync('../tool/bin/tool', join(base, 'store/real/bin/tool'));
  symlinkSync('store/real', join(base, 'current'));
  const found = findExecutable('tool', join(base, 'service'), join(base, 'current/bin'), []);
  assert.equal(found.path, join(base, 'store/real/bin/tool'));
  assert.deepEqual(found.needed, [join(base, 'store/real'), join(base, 'store/real/tool')]);
});

void it('a file that is no program is not taken for one', () => {
  const path = program('programs/tool');
  mkdirSync(join(base, 'notes'));
  writeFileSync(join(base, 'notes', 'tool'), '', { mode: 0o644 });
  mkdirSync(join(base, 'folders', 'tool'), { recursive: true });
  const searched = ['notes', 'folders', 'programs'].map((name) => join(base, name)).join(':');
  assert.equal(findExecutable('tool', base, searched, []).path, path);
});

void it('X1: never names a folder that holds the home, the service or the data folder', () => {
  const path = program('project/bin/tool');
  const hidden = join(base, 'project', '.spare', 'r-1');
  assert.deepEqual(findExecutable(path, '/srv/x', '', [hidden]).needed, [join(base, 'project/bin')]);
  assert.deepEqual(findExecutable(path, join(base, 'project/bin/x'), '', []).needed, [path]);
  assert.deepEqual(findExecutable(path, '/srv/x', '', []).needed, [join(base, 'project')]);
  assert.ok(!findExecutable('sh', '/srv/x', '/bin', []).needed.includes(homedir()));
});

void it('says where it looked for a program that is missing', () => {
  const isMissing = (error: unknown): boolean =>
    error instanceof SpareError && error.code === 'command-not-found' && error.hint.includes('/nowhere');
  assert.throws(() => findExecutable('no-such-program', base, '/nowhere', []), isMissing);
  assert.throws(() => findExecutable('./no-such-program', '/nowhere', '', []), isMissing);
});
