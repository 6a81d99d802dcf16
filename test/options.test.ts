/** What developers run says how to call it, and starts nothing when it was called wrongly. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';

function call(program: string, args: readonly string[]): { status: number | null; out: string; err: string } {
  const file = fileURLToPath(new URL(`../${program}/main.ts`, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...args], { encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

const WRONG: Readonly<Record<string, readonly (readonly string[])[]>> = {
  bench: [
    ['--seconds', 'x'],
    ['--only', 'all'],
  ],
  fuzz: [
    ['--inputs', 'many'],
    ['--target', 'nothing'],
  ],
  sim: [
    ['--seeds', 'many'],
    ['--seeds', '10', '--jobs', '0'],
    ['--scenario', 'nothing'],
    ['--without', '1,x'],
  ],
  'sim/bugs': [
    ['--seeds', '0'],
    ['--only', 'nothing'],
    ['--write', '--only', 'nothing'],
  ],
  'test/broken': [['--only', 'nothing at all']],
};

for (const [program, wrong] of Object.entries(WRONG)) {
  void test(`${program} says how to call it`, () => {
    const { status, out, err } = call(program, ['--help']);
    assert.match(out, /^Usage: npm run /);
    assert.deepEqual([status, err], [0, '']);
  });
  for (const args of [['--nonsense'], ['nonsense'], ...wrong]) {
    void test(`${program} ${args.join(' ')} is refused in plain words`, () => {
      const { status, out, err } = call(program, args);
      assert.deepEqual([status, out], [2, '']);
      assert.doesNotMatch(err, /^ +at /m);
      assert.ok(err.includes(args.at(-1)?.replace('1,', '') ?? ''), err);
    });
  }
}
