/** What of the verified state goes to a replica, on a real store. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Store } from '../ordering/store.ts';
import { decodeOrder } from '../wire/channel.ts';
import { FrameReader } from '../wire/frames.ts';
import { digestOf } from './ballots.ts';
import type { Write } from './link.ts';
import { Snapshots } from './snapshots.ts';
import { UpdateLog } from './updates.ts';
import { Verified } from './verified.ts';

interface Given {
  readonly path: string;
  readonly snapshots: Snapshots;
  readonly updates: UpdateLog;
  readonly verified: Verified;
  /** Of the updates that there are. */
  readonly onDisk: () => Promise<number>;
}

/** A checkpoint at entry 5, and updates up to 8. */
async function given(context: TestContext): Promise<Given> {
  const folder = mkdtempDisposableSync(join(tmpdir(), 'spare-verified-'));
  const { store } = await Store.open(join(folder.path, 'store.db'), null);
  context.after(async () => {
    await store.close();
    folder.remove();
  });
  writeFileSync(join(folder.path, 'base'), 'begun');
  writeFileSync(join(folder.path, 'checkpoint-5'), 'five');
  const checkpoint = { index: 5, file: 'checkpoint-5' };
  const snapshots = new Snapshots(folder.path, 1000, { checkpoint, base: null });
  const updates = new UpdateLog(store, 5);
  for (const index of [6, 7, 8]) updates.record(index, index === 7 ? Buffer.alloc(0) : Buffer.of(index));
  const onDisk = async (): Promise<number> => {
    await store.durable();
    return (await Array.fromAsync(store.updates(0, 9))).flat().length;
  };
  return { path: folder.path, snapshots, updates, verified: new Verified(snapshots, updates), onDisk };
}

/** What an agent would do with what `send` writes. */
async function received(send: (write: Write) => Promise<unknown>): Promise<string[]> {
  const reader = new FrameReader(2 ** 20);
  const orders: string[] = [];
  await send(async (frames) => {
    for (const frame of reader.read(Buffer.concat(frames))) {
      const order = decodeOrder(frame);
      if (order.type === 'import') orders.push(`import ${order.chunk.toString()}`);
      else if (order.type === 'apply') orders.push(`apply ${order.update.join()}`);
      else orders.push(order.type);
    }
  });
  return orders;
}

const tell = (): void => {};

test('P4: the present state is the checkpoint with what came after it, and the initial one what the group began with', async (context) => {
  const { verified } = await given(context);
  const ends: (number | null)[] = [];
  const present = await received(async (write) => ends.push(await verified.sendPresent(write, tell)));
  assert.deepEqual(present, ['import five', 'apply 6', 'apply 8']);
  const initial = await received(async (write) => ends.push(await verified.sendInitial(write, tell)));
  assert.deepEqual(initial, ['import begun']);
  assert.deepEqual(ends, [8, null]);
});

test('P4: who started on a verified state gets only what came later, or all of it where that is not kept any more', async (context) => {
  const { verified, updates } = await given(context);
  const rest = async (had: number): Promise<string[]> => {
    using sending = verified.state(had, 8, tell);
    return await received((write) => sending.send(write));
  };
  assert.deepEqual(await rest(8), []);
  assert.deepEqual(await rest(6), ['apply 8']);
  updates.trim(7);
  updates.truncate(7);
  assert.deepEqual(await rest(7), ['apply 8']);
  assert.deepEqual(await rest(6), ['import five', 'apply 8'], 'as a later checkpoint has it');
});

test('P4: what is to be sent stays until it is, whatever checkpoint comes before its turn', async (context) => {
  const { path, verified, snapshots, updates, onDisk } = await given(context);
  const eighth = Buffer.from('eight');
  const comes = async (): Promise<void> => {
    snapshots.expect('r2', 8);
    snapshots.announce('r2', eighth.length);
    snapshots.take('r2', eighth, true);
    await snapshots.commit(8, digestOf(eighth));
    snapshots.inForce(8);
    updates.trim(8);
    updates.truncate(8);
  };
  const sending = verified.state(null, 8, tell);
  const rest = verified.rest(7, 8);
  await comes();
  assert.equal(await onDisk(), 2);
  assert.ok(existsSync(join(path, 'checkpoint-5')));
  assert.deepEqual(await received((write) => sending.send(write)), ['import five', 'apply 6', 'apply 8']);
  sending[Symbol.dispose]();
  assert.deepEqual(await received((write) => rest.send(write)), ['apply 8']);
  rest[Symbol.dispose]();
  assert.equal(await onDisk(), 0);
  assert.ok(!existsSync(join(path, 'checkpoint-5')));
  assert.deepEqual(await received((write) => verified.sendPresent(write, tell)), ['import eight']);
});
