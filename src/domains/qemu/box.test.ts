/** What becomes of a program for which the box is too narrow. */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';

import { findTool } from '../process/paths.ts';
import { findBox } from './box.ts';

void it('M1: a trial of the box that takes too long says nothing about it: no machine is started without one', async (context) => {
  if (findTool('bwrap') === undefined) return context.skip('bwrap not found');
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-box-'));
  const program = join(place.path, 'qemu');
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
  const never = ['/bin/sh', '-c', 'exec sleep 60'];
  await assert.rejects(findBox(program, never), { code: 'domain-start-failed', message: /within 10 s/ });
  return undefined;
});

void it('a program that does not start in a box has none, and operators are told why', async (context) => {
  if (findTool('bwrap') === undefined) return context.skip('bwrap not found');
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-box-'));
  const program = join(place.path, 'qemu');
  // There is no shell in the box.
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
  const found = await findBox(program, []);
  assert.match(typeof found === 'string' ? found : 'a box', /^bwrap: /);
  return undefined;
});
