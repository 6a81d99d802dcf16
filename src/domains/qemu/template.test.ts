/** What a template leaves behind for those that were made from it. */
import assert from 'node:assert/strict';
import { closeSync, lstatSync, mkdtempDisposableSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { CONFORMANCE_AGENT, MIB, Site } from '../conformance-peer.ts';
import { findHypervisor, type Hypervisor } from './accelerator.ts';
import { buildImage } from './image/build.ts';
import { findKernel } from './image/kernel.ts';
import { Template } from './template.ts';

const required = (process.env['SPARE_REQUIRE'] ?? '').split(',').includes('qemu');

/** The one that reads the folder is gone again. */
function isOpen(fd: string): boolean {
  return lstatSync(fd, { throwIfNoEntry: false }) !== undefined;
}

/** Of the files in this folder, also of those that have no name any more. */
function openFiles(folder: string): string[] {
  return readdirSync('/proc/self/fd')
    .map((fd) => `/proc/self/fd/${fd}`)
    .filter(isOpen)
    .map((fd) => readlinkSync(fd))
    .filter((path) => path.startsWith(folder));
}

void test(
  'T3: a parked machine goes on though its template was given up, and nothing stays open after it',
  { timeout: 240_000 },
  async (context) => {
    let hypervisor: Hypervisor;
    try {
      hypervisor = await findHypervisor(findKernel('/').path);
    } catch (error) {
      if (required) throw error;
      context.skip(String(error));
      return;
    }
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-template-'));
    await using site = await Site.create(false);
    const command = [process.execPath, 'server.mjs'];
    const image = await buildImage({
      service: { folder: site.folder, command, env: {}, state: [] },
      agent: CONFORMANCE_AGENT,
      include: [],
      hidden: place.path,
      images: join(place.path, 'images'),
      kernel: '/',
      progress: () => {},
    });
    const template = await Template.make({
      hypervisor,
      image,
      limits: { memoryBytes: 256 * MIB, processes: 64 },
      folder: place.path,
      opening: undefined,
      behind: false,
      signal: new AbortController().signal,
      suspension: 'parked',
    });
    const running = await template.clone();
    const { body } = running;
    await body.suspend();
    assert.ok(openFiles(place.path).length > 0);
    template[Symbol.dispose]();
    await turn();
    // What is closed now is another file's number.
    const others = Array.from({ length: 8 }, () => openSync('/dev/null', 'r'));
    await body.resume();
    assert.ok(body.machine !== null);
    for (const other of others) closeSync(other);
    body.kill();
    await body.exited;
    running.release();
    body.channel.destroy();
    await turn();
    assert.deepEqual(openFiles(place.path), []);
  },
);
