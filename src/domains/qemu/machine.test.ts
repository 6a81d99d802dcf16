/** What is left of a machine whose process cannot be started. */
import assert from 'node:assert/strict';
import { openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { it } from 'node:test';

import { children, descriptors, withDescriptors } from '../../testing.ts';
import { eventually } from '../conformance-peer.ts';
import { takeMachineOwner } from './accelerator.ts';
import type { Image } from './image/manifest.ts';
import { Machine } from './machine.ts';
import { Template, type TemplateOptions } from './template.ts';

/** Too few for a machine: for nothing, for its guardian, for a part of its ports. */
const FEW = [0, 4, 8, 12];
const LIMITS = { memoryBytes: 2 ** 28, processes: 8 };

void it('without descriptors a machine is not started, and nothing stays', async () => {
  const fd = openSync('/dev/null', 'r');
  const files = { kernel: fd, initrd: fd, root: fd, memory: fd };
  const options = { program: '/bin/true', accelerator: 'tcg', memoryBytes: 2 ** 28, limits: LIMITS } as const;
  const start = async (): Promise<Machine> =>
    new Machine({ ...options, start: 'clone', files, owner: undefined });
  const before = descriptors();
  for (const free of FEW) {
    await assert.rejects(withDescriptors(free, start), /too many open files/);
    assert.equal(await eventually(() => descriptors() <= before && children() === ''), true);
  }
});

void it('without descriptors a template is not made, and its files and its user are free again', async () => {
  const options: TemplateOptions = {
    hypervisor: { program: '/bin/true', accelerator: 'tcg', description: '' },
    image: { verify: async () => {}, path: () => '/dev/null' } as unknown as Image,
    limits: LIMITS,
    folder: tmpdir(),
    opening: undefined,
    behind: false,
    signal: new AbortController().signal,
    suspension: 'paused',
  };
  const nextOwner = (): number | undefined => {
    const owner = takeMachineOwner();
    owner?.release();
    return owner?.uid;
  };
  const before = descriptors();
  const owner = nextOwner();
  for (const free of FEW) {
    await assert.rejects(
      withDescriptors(free, () => Template.make(options)),
      /EMFILE|too many open files/,
    );
    assert.equal(await eventually(() => descriptors() <= before), true);
    assert.equal(nextOwner(), owner);
  }
});
