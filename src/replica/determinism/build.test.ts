import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { preloadPath } from '../preload.ts';
import { SKIP_LIBC } from './testing.ts';

/** Runs a copy of the build in a package of its own, with the given search path for compilers. */
function build(folder: string, path: string | undefined): { status: number | null; stdout: string } {
  const copy = join(folder, 'src/replica/determinism');
  cpSync(import.meta.dirname, copy, { recursive: true, preserveTimestamps: true });
  for (const name of ['build-c.ts', 'preload.ts'])
    cpSync(join(import.meta.dirname, '..', name), join(copy, '..', name));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  return spawnSync(process.execPath, [join(copy, 'build.ts')], { env: { PATH: path }, encoding: 'utf8' });
}

void test('a machine without a compiler is told so in one line, and installs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spare-build-'));
  const { status, stdout } = build(folder, '/nonexistent');
  assert.equal(status, 0);
  assert.match(stdout, /^spare: no C compiler .*\n$/);
  rmSync(folder, { recursive: true });
});

void test('the library is built when its sources are newer, and not otherwise', { skip: SKIP_LIBC }, () => {
  assert.ok(preloadPath());
  const folder = mkdtempSync(join(tmpdir(), 'spare-build-'));
  const library = join(folder, 'build/spare-preload.so');
  const built = (): number => {
    assert.equal(build(folder, process.env['PATH']).stdout, `spare: libc layer at ${library}\n`);
    return statSync(library).mtimeMs;
  };
  const first = built();
  assert.equal(built(), first);
  utimesSync(library, new Date(0), new Date(0));
  assert.ok(built() > 1000);
  rmSync(folder, { recursive: true });
});
