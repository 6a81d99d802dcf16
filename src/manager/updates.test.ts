/** The update log on a real store. */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Store } from '../ordering/store.ts';
import { bytesInBuffers } from '../testing.ts';
import { UpdateLog } from './updates.ts';

const MIB = 1024 ** 2;

void test('P4: a passive replica that is far behind gets its updates no faster than it reads: too many at once come from disk', async (context) => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-updates-'));
  const { store } = await Store.open(join(folder.path, 'store.db'), null);
  context.after(() => store.close());
  const updates = new UpdateLog(store, 0);
  for (let index = 1; index <= 4; index++) updates.record(index, Buffer.alloc(16 * MIB, index));
  assert.equal(updates.inMemory(1, 4)?.length, 8, 'a head and an update each');
  updates.record(5, Buffer.alloc(16 * MIB, 5));
  assert.equal(updates.inMemory(2, 5)?.length, 8);
  assert.ok(updates.inMemory(1, 5) === null);
  const read = await Array.fromAsync(updates.onDisk(1, 5));
  assert.deepEqual(
    read.flat().map((update) => update[0]),
    [1, 2, 3, 4, 5],
  );
});

void test('P2 P4: what a replica here may still ask for stays on disk though a checkpoint has it, and goes once nobody may', async (context) => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-updates-'));
  const { store } = await Store.open(join(folder.path, 'store.db'), null);
  context.after(() => store.close());
  const updates = new UpdateLog(store, 0);
  const onDisk = async (): Promise<(number | undefined)[]> => {
    await store.durable();
    return (await Array.fromAsync(store.updates(1, 9))).flat().map((update) => update[0]);
  };
  for (let index = 1; index <= 5; index++) updates.record(index, Buffer.alloc(1, index));
  updates.trim(0);
  updates.truncate(3);
  assert.deepEqual(await onDisk(), [1, 2, 3, 4, 5]);
  updates.trim(2);
  assert.deepEqual(await onDisk(), [3, 4, 5], 'as far as nobody may');
  updates.trim(5);
  assert.deepEqual(await onDisk(), [4, 5], 'no further than the checkpoint goes');
});

void test('P2: updates that are to be read are there though they are truncated before the first is', async (context) => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-updates-'));
  const { store } = await Store.open(join(folder.path, 'store.db'), null);
  context.after(() => store.close());
  const updates = new UpdateLog(store, 0);
  for (let index = 1; index <= 3; index++) updates.record(index, Buffer.alloc(1, index));
  const wanted = updates.onDisk(1, 3);
  updates.trim(3);
  updates.truncate(3);
  await store.durable();
  const read = await Array.fromAsync(wanted);
  assert.deepEqual(
    read.flat().map((update) => update[0]),
    [1, 2, 3],
  );
  await store.durable();
  assert.deepEqual((await Array.fromAsync(store.updates(1, 3))).flat(), [], 'truncated after all');
});

void test('P2: updates are read from disk a few at a time, be they large or many, and all of them though they are truncated meanwhile', async (context) => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-updates-'));
  const { store } = await Store.open(join(folder.path, 'store.db'), null);
  context.after(() => store.close());
  const updates = new UpdateLog(store, 0);
  for (let index = 1; index <= 20; index++) updates.record(index, Buffer.alloc(MIB, index));
  const read: number[][] = [];
  let last = 20;
  for await (const part of updates.onDisk(2, 19)) {
    read.push(part.map((update) => Number(update[0])));
    updates.trim(20);
    updates.truncate(20);
    for (let more = 0; more < 3; more++) updates.record(++last, Buffer.alloc(1));
  }
  assert.deepEqual(
    read.flat(),
    Array.from({ length: 18 }, (_, i) => i + 2),
  );
  // What is to become durable meanwhile waits for each.
  assert.ok(Math.max(...read.map((part) => part.length)) <= 2, JSON.stringify(read));
  // Some megabytes go with each batch.
  for (let batch = 0; batch < 8; batch++) {
    updates.record(++last, Buffer.alloc(1));
    await store.durable();
  }
  const left = (await Array.fromAsync(store.updates(1, 20))).flat();
  assert.equal(left.length, 0, 'what was held back is truncated after all');
  for (let index = 1001; index <= 2500; index++) updates.record(index, Buffer.alloc(1));
  const many = (await Array.fromAsync(updates.onDisk(1001, 2500))).map((part) => part.length);
  assert.equal(
    many.reduce((sum, length) => sum + length, 0),
    1500,
  );
  assert.ok(Math.max(...many) <= 500, JSON.stringify(many));
});

void test('P7: what nobody fetches does not stay in memory, and is there all the same', async (context) => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-updates-'));
  const { store } = await Store.open(join(folder.path, 'store.db'), null);
  context.after(() => store.close());
  const updates = new UpdateLog(store, 0);
  const before = bytesInBuffers();
  const count = 300;
  for (let index = 1; index <= count; index++) {
    updates.record(index, Buffer.alloc(MIB, index));
    if (index % 20 === 0) await store.durable();
  }
  const held = bytesInBuffers() - before;
  assert.ok(held < 200 * MIB, `${held / MIB} MiB are held`);
  assert.equal(updates.inMemory(count - 63, count)?.length, 128, 'as much as is sent at once is at hand');
  assert.ok(updates.inMemory(count - 100, count - 90) === null, 'not some of them alone');
  let next = 1;
  for await (const read of updates.onDisk(1, count))
    for (const update of read) assert.equal(update[0], next++ % 256);
  assert.equal(next, count + 1);
});
