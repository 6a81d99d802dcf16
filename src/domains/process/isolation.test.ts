/** Is a host that offers isolation ever taken for one that does not? */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { withDescriptors } from '../../testing.ts';
import type * as Module from './isolation.ts';
import { findTool } from './paths.ts';
import { failureOf, type Trial } from './trial.ts';

const SKIP = findTool('bwrap') === undefined ? 'no bubblewrap' : false;

/** What is found out with this value of a variable of the environment; nothing is known from before. */
async function chosenWith(name: string, value: string): Promise<string> {
  const before = process.env[name];
  process.env[name] = value;
  try {
    const module = (await import(`./isolation.ts?${performance.now()}`)) as typeof Module;
    return (await module.chooseIsolation()).description;
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
}

void test('V1: the sandbox does not depend on what is in PATH', { skip: SKIP }, async () => {
  assert.equal(await chosenWith('PATH', '/nowhere'), await chosenWith('LANG', 'C'));
});

void test(
  'V1: without a place to try the sandbox nothing is started, instead of plain processes',
  { skip: SKIP },
  async () => {
    await assert.rejects(chosenWith('TMPDIR', '/nowhere'), {
      code: 'domain-start-failed',
      message: /^Isolation by bubblewrap cannot be tried: ENOENT/,
      hint: /room in \/nowhere \(TMPDIR/,
    });
  },
);

void test(
  'V1: without descriptors nothing is started, instead of what is less isolated',
  { skip: SKIP },
  async () => {
    const module = (await import(`./isolation.ts?${performance.now()}`)) as typeof Module;
    await assert.rejects(
      withDescriptors(2, () => module.chooseIsolation()),
      {
        code: 'domain-start-failed',
        message: /^Isolation by bubblewrap cannot be tried: too many open files/,
      },
    );
  },
);

/** Has threads, which count as processes, for all that it does itself. */
const WITHOUT_PROCESSES = `
  import { execFileSync } from 'node:child_process';
  import { readFile } from 'node:fs/promises';
  const { chooseIsolation } = await import(process.argv[1]);
  await Promise.all(Array.from({ length: 16 }, () => readFile('/proc/self/stat')));
  if (process.getuid() === 0) process.setuid(65534);
  execFileSync('prlimit', ['--pid', String(process.pid), '--nproc=1:']);
  console.log(await chooseIsolation().then(({ description }) => description, ({ message }) => message));`;

void test('V1: nor where no process can be started', { skip: SKIP }, () => {
  const args = ['--input-type=module', '--eval', WITHOUT_PROCESSES, import.meta.resolve('./isolation.ts')];
  const said = execFileSync(process.execPath, args, { encoding: 'utf8' });
  assert.match(said, /^Isolation by bubblewrap cannot be tried: .*EAGAIN/);
});

test('V1: a trial that takes too long says nothing about what works', async () => {
  const within = (timeoutMs: number): Trial => ({ env: {}, timeoutMs, stdio: [], send: () => {} });
  await assert.rejects(failureOf(['/bin/sleep', '60'], within(50)), /did not end within 0.05 s/);
  assert.equal(await failureOf(['/bin/sh', '-c', 'exit 3'], within(60_000)), 'failed with status 3');
  assert.equal(await failureOf(['/bin/true'], within(60_000)), undefined);
});
