/** What a template leaves behind for those that were made from it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  closeSync,
  lstatSync,
  mkdtempDisposableSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { messageOf } from '../../errors.ts';
import { isRequired, descriptors, fillDisk, withDescriptors } from '../../testing.ts';
import { CONFORMANCE_AGENT, eventually, MIB, openingOf, order, Site } from '../conformance-peer.ts';
import { findHypervisor, type Hypervisor } from './accelerator.ts';
import { machineBytes } from './command.ts';
import { buildImage } from './image/build.ts';
import { findKernel } from './image/kernel.ts';
import { copyMemory, hasQuickRoom } from './memory-file.ts';
import { type Running, Template, type TemplateOptions } from './template.ts';

const required = isRequired('qemu');

/** The one that reads the folder is gone again. */
function isOpen(fd: string): boolean {
  return lstatSync(fd, { throwIfNoEntry: false }) !== undefined;
}

/** Of the files in this folder, also of those that have no name any more. `process`: as in `/proc`. */
function openFiles(folder: string, process: number | 'self' = 'self'): string[] {
  return readdirSync(`/proc/${process}/fd`)
    .map((fd) => `/proc/${process}/fd/${fd}`)
    .filter(isOpen)
    .map((fd) => readlinkSync(fd))
    .filter((path) => path.startsWith(folder));
}

async function templateOptions(folder: string, hypervisor: Hypervisor): Promise<TemplateOptions> {
  await using site = await Site.create(false);
  const command = [process.execPath, 'server.mjs'];
  const image = await buildImage({
    service: { folder: site.folder, command, env: {}, state: [] },
    agent: CONFORMANCE_AGENT,
    hidden: folder,
    images: join(folder, 'images'),
    kernel: '/',
    progress: () => {},
  });
  return {
    hypervisor,
    image,
    limits: { memoryBytes: 256 * MIB, processes: 64 },
    folder,
    opening: undefined,
    behind: false,
    signal: new AbortController().signal,
    suspension: 'paused',
  };
}

void test('P2 P6: memory for which the disk has no room is no fault of the machine', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-template-'));
  // No file: it cannot be copied.
  const folder = openSync(place.path, 'r');
  context.after(() => closeSync(folder));
  const copy = (): Promise<number> => copyMemory(folder, place.path, 256 * MIB);
  await assert.rejects(copy(), { message: 'the memory of its template could not be copied' });
  fillDisk(context);
  await assert.rejects(copy(), { code: 'storage-failed', message: /its disk is full/ });
  assert.deepEqual(openFiles(place.path), [place.path], 'nothing of it is kept open');
});

/** A clone that is ended with the test, also when that fails. */
async function cloneOf(template: Template): Promise<Running & AsyncDisposable> {
  const running = await template.clone();
  const end = async (): Promise<void> => {
    running.body.kill();
    await running.body.exited;
    running.release();
    running.body.channel.destroy();
  };
  return { ...running, [Symbol.asyncDispose]: end };
}

void describe('templates', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spare-template-'));
  let options: TemplateOptions | undefined;
  let missing = '';
  before(async () => {
    let hypervisor: Hypervisor;
    try {
      hypervisor = await findHypervisor(findKernel('/').path);
    } catch (error) {
      if (required) throw error;
      missing = String(error);
      return;
    }
    options = await templateOptions(folder, hypervisor);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const promise = (title: string, body: (options: TemplateOptions) => Promise<void>): void => {
    void it(title, { timeout: 600_000 }, async (context) => {
      if (options === undefined) context.skip(missing);
      else await body(options);
    });
  };

  promise(
    'T3: a parked machine goes on though its template was given up, and nothing stays open after it',
    async (options) => {
      const template = await Template.make({ ...options, suspension: 'parked' });
      {
        await using clone = await cloneOf(template);
        const { body } = clone;
        await body.suspend();
        assert.ok(openFiles(folder).length > 0);
        template[Symbol.dispose]();
        await turn();
        // What is closed now is another file's number.
        const others = Array.from({ length: 8 }, () => openSync('/dev/null', 'r'));
        await body.resume();
        assert.ok(body.machine !== null);
        for (const other of others) closeSync(other);
      }
      await turn();
      assert.deepEqual(openFiles(folder), []);
    },
  );

  promise(
    'T3: the kernel is open only while a template boots, and no clone is handed it',
    async (options) => {
      using template = await Template.make({ ...options, suspension: 'parked' });
      const names = (process: number | 'self'): string[] =>
        openFiles(options.image.folder, process).map((path) => basename(path));
      assert.deepEqual(names('self'), ['root']);
      await using clone = await cloneOf(template);
      assert.deepEqual(new Set(names(clone.body.machine?.pid ?? 0)), new Set(['root']));
    },
  );

  promise('T3: a clone that cannot be started for want of descriptors leaves none open', async (options) => {
    using template = await Template.make({ ...options, suspension: 'parked' });
    const before = descriptors();
    // With the last of these it can be started.
    for (let free = 0; free <= 24; free += 1) {
      const why = await withDescriptors(free, async () => {
        await using _clone = await cloneOf(template);
        return 'started';
      }).catch(messageOf);
      assert.match(
        why,
        free < 16
          ? /EMFILE|too many open files|memory of its template|without other end/
          : /^(too many open files|started)$/,
      );
      assert.equal(await eventually(() => descriptors() <= before), true, `${free}: something is left open`);
    }
  });

  promise(
    'T4: a clone has been opened and is practised, and answers only to the opening',
    async (options) => {
      const opening = openingOf('globalThis.rehearsals = 0; return "opened"', 'globalThis.rehearsals += 1');
      using template = await Template.make({ ...options, opening });
      await using clone = await cloneOf(template);
      const { body } = clone;
      assert.equal(String(clone.answer), `${JSON.stringify({ id: 0, value: 'opened' })}\n`);
      body.channel.write(order('return globalThis.rehearsals > 1'));
      const [first] = (await once(body.channel, 'data')) as [Buffer];
      assert.equal(String(first), `${JSON.stringify({ id: 0, value: true })}\n`);
    },
  );

  promise(
    'T5: a machine boots in memory, where there is room, and nothing of it stays there',
    async (options) => {
      assert.equal(hasQuickRoom(Number.MAX_SAFE_INTEGER), false);
      const isQuick = hasQuickRoom(machineBytes(options.limits.memoryBytes));
      const seen = { quick: false };
      const watching = setInterval(() => (seen.quick ||= openFiles('/dev/shm').length > 0), 100);
      using template = await Template.make(options).finally(() => clearInterval(watching));
      assert.equal(seen.quick, isQuick);
      assert.deepEqual(openFiles('/dev/shm'), []);
      await using clone = await cloneOf(template);
      clone.body.channel.write(order('return 2'));
      assert.equal(
        String(await once(clone.body.channel, 'data')),
        `${JSON.stringify({ id: 0, value: 2 })}\n`,
      );
    },
  );
});
