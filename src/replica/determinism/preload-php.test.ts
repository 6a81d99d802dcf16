/**
 * Does the libc layer reach what PHP loads as an extension, and the libraries that come with that? As Debian's PHP loads its
 * SQLite; and a small program that is known for PHP by its symbol, where there is none.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Sandbox, SKIP_LIBC } from './testing.ts';

const COMPILER = 'cc';
const HAS_PHP = spawnSync('php', ['-r', "new PDO('sqlite::memory:'); new SQLite3(':memory:');"]).status === 0;
const SKIP_PHP = SKIP_LIBC || (HAS_PHP ? false : 'no PHP with SQLite');

const SQL = `SELECT CURRENT_TIMESTAMP || ' ' || random() || ' ' || hex(randomblob(9))`;
const SCRIPT = `
  echo (new PDO('sqlite::memory:'))->query("${SQL}")->fetchColumn(), "\\n";
  echo (new SQLite3(':memory:'))->querySingle("${SQL}"), "\\n";`;

void test(
  'what PHP asks SQLite for is of the entry: the time of SQL and its random numbers',
  {
    skip: SKIP_PHP,
  },
  async () => {
    await using sandbox = new Sandbox();
    sandbox.set({});
    const printed = await sandbox.run('libc', 'php', ['-r', SCRIPT]);
    assert.match(printed, /^(2023-11-14 22:13:20 -?\d+ [0-9A-F]{18}\n){2}$/);
    sandbox.set({});
    assert.equal(await sandbox.run('libc', 'php', ['-r', SCRIPT]), printed);
  },
);

/** Loads an extension that is where the program, or the library, that loads it looks for libraries. */
const LOADER = String.raw`
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#ifdef PHP
void php_execute_script(void) {}
#endif
int main(void) {
  void *extension = dlopen("libextension.so", RTLD_NOW | RTLD_GLOBAL | RTLD_DEEPBIND);
  if (extension == NULL) return puts(dlerror()), 1;
  printf("%ld\n", ((long (*)(void))dlsym(extension, "seconds"))());
}`;
const EXTENSION = '#include <time.h>\nlong seconds(void) { return time(NULL); }';

void test(
  'an extension of PHP has the clock of the entry, and is found as without the layer; that of another has its own',
  {
    skip: SKIP_LIBC,
  },
  async () => {
    await using sandbox = new Sandbox();
    const folder = join(sandbox.folder, 'extensions');
    mkdirSync(folder);
    const compile = (to: string, source: string, ...flags: string[]): string => {
      writeFileSync(`${to}.c`, source);
      execFileSync(COMPILER, [...flags, '-o', to, `${to}.c`, '-ldl']);
      return to;
    };
    compile(join(folder, 'libextension.so'), EXTENSION, '-shared', '-fPIC');
    const found = `-Wl,--enable-new-dtags,-rpath,${folder}`;
    const php = compile(join(sandbox.folder, 'php'), LOADER, '-DPHP', '-rdynamic', found);
    const other = compile(join(sandbox.folder, 'other'), LOADER, '-rdynamic', found);
    sandbox.set({});
    assert.equal(await sandbox.run('libc', php, []), '1700000000\n');
    const seconds = Number(await sandbox.run('libc', other, []));
    assert.ok(Math.abs(seconds - Date.now() / 1000) < 60);
  },
);
