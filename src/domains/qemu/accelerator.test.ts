/** Are operators told what is wrong with a QEMU that cannot be used? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { it, type TestContext } from 'node:test';

import { withDescriptors } from '../../testing.ts';
import { findHypervisor } from './accelerator.ts';

const SKIP = process.arch === 'x64' ? false : 'QEMU has another name here';

/** The one that is found first. */
async function tried(context: TestContext, script: string, free = Infinity): Promise<void> {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-accelerator-'));
  writeFileSync(join(place.path, 'qemu-system-x86_64'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const { PATH = '' } = process.env;
  context.after(() => (process.env['PATH'] = PATH));
  process.env['PATH'] = place.path + delimiter + PATH;
  const find = (): Promise<unknown> => findHypervisor('/nowhere');
  await (free === Infinity ? find() : withDescriptors(free, find));
}

void it('one that is too old is called so', { skip: SKIP }, async (context) => {
  await assert.rejects(tried(context, 'echo QEMU emulator version 6.1.0'), {
    code: 'domain-start-failed',
    message: /is too old: 6\.1\.$/,
  });
});

void it('one that does not work is not called too old', { skip: SKIP }, async (context) => {
  await assert.rejects(tried(context, 'exit 127'), {
    code: 'domain-start-failed',
    message: /does not tell its version/,
  });
});

void it('nor is one that cannot be tried', { skip: SKIP }, async (context) => {
  await assert.rejects(tried(context, 'exit 0', 2), {
    code: 'domain-start-failed',
    message: /cannot be tried: too many open files/,
  });
});
