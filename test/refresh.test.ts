/**
 * Do suspended replicas sleep, and yet stay current? Many writes make refreshes; what a suspended replica holds
 * afterwards must have the digest that the active ones agreed on, and between refreshes it must cost nothing.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { ReplicaStatus } from '../src/admin/admin.ts';
import { add, LEDGER, lines } from './support/ledger.ts';
import { PATIENCE_MS, signalTree, Spare } from './support/spare.ts';

/** More than the update log holds before a refresh. */
const WRITES = 700;
const CLIENTS = 10;
const IDLE_MS = 3000;
const REST_MS = 500;

async function write(url: string, count: number): Promise<void> {
  const shares = Array.from({ length: CLIENTS }, async (_, client) => {
    for (let i = 0; i < count / CLIENTS; i++) await add(url, `${client}-${i}`);
  });
  await Promise.all(shares);
}

async function passive(spare: Spare): Promise<ReplicaStatus[]> {
  return (await spare.status()).replicas.filter(({ role }) => role === 'passive');
}

test('P4: suspended replicas are brought up to the digest of a mark, and sleep between refreshes', async () => {
  await using spare = await new Spare(LEDGER).start();
  await write(spare.url, WRITES);
  await spare.until('a refresh has run', PATIENCE_MS, async () => {
    const { updateLog } = await spare.status();
    return (
      updateLog.entries < WRITES / 2 &&
      (await passive(spare)).every(({ state, applied }) => state === 'suspended' && applied > 400)
    );
  });
  // Who was just told to stop does so once it gets a processor.
  let before = await passive(spare);
  await spare.until('they are at rest', PATIENCE_MS, async () => {
    const earlier = before;
    await delay(REST_MS);
    before = await passive(spare);
    return before.every(({ cpuSeconds }, i) => cpuSeconds === earlier[i]?.cpuSeconds);
  });
  await delay(IDLE_MS);
  const after = await passive(spare);
  for (const [i, { cpuSeconds, applied, id }] of after.entries()) {
    assert.equal(cpuSeconds, before[i]?.cpuSeconds, `${id} used no processor while it slept`);
    assert.equal(applied, before[i]?.applied);
  }
  // A mark's digest that a passive replica does not reach would be an incident of kind `state`.
  assert.deepEqual(await spare.incidents(), []);
});

test('P2 P4: what refreshed replicas hold is what clients wrote: they answer alone after the active ones are gone', async () => {
  await using spare = await new Spare(LEDGER).start();
  await write(spare.url, WRITES);
  const [first, second] = await spare.activePids();
  assert.ok(first !== undefined && second !== undefined);
  signalTree(first.pid, 'SIGKILL');
  assert.equal((await lines(spare.url)).length, WRITES);
  await spare.whole();
  // The second founder is the last that executed all of it.
  signalTree(second.pid, 'SIGKILL');
  assert.equal((await lines(spare.url)).length, WRITES);
  await write(spare.url, CLIENTS);
  assert.equal((await lines(spare.url)).length, WRITES + CLIENTS);
  await spare.whole();
  const kinds = (await spare.incidents()).map(({ kind }) => kind);
  assert.deepEqual(kinds, ['crash', 'crash']);
});

test('P2 P4: once much was written, f+1 equal exports become the checkpoint that a restart begins with', async () => {
  const line = 'x'.repeat(400_000);
  const count = 100;
  await using spare = await new Spare(LEDGER).start();
  for (let i = 0; i < count; i++) await add(spare.url, line);
  const checkpoints = (): string[] =>
    readdirSync(spare.data).filter((name) => name.startsWith('checkpoint-'));
  await spare.until('there is a checkpoint', PATIENCE_MS, () => checkpoints().length === 1);
  await add(spare.url, 'after the checkpoint');
  const size = async (): Promise<unknown> => (await fetch(`${spare.url}/size`)).json();
  const before = await size();
  assert.deepEqual(before, { lines: count + 1, bytes: count * line.length + 20 });
  await spare.signal('SIGKILL');
  await spare.start();
  assert.deepEqual(await size(), before);
  await spare.whole();
  assert.deepEqual(await spare.incidents(), []);
  // All would begin with the same wrong state, and so nobody would notice.
  await spare.signal('SIGKILL');
  const [name = ''] = checkpoints();
  const bytes = readFileSync(join(spare.data, name));
  const middle = bytes.length >> 1;
  writeFileSync(join(spare.data, name), bytes.with(middle, (bytes[middle] ?? 0) ^ 1));
  await assert.rejects(
    spare.start(),
    /ended with 1:[^]*checkpoint-\d+ is not what .*\[data-folder-damaged\]/,
  );
});

const BODY = Buffer.alloc(1_000_000, 'x');
/** Together three times what may lie in the order. */
const LONG_REQUESTS = 100;
/** Of a store that holds what may lie in the order, what came while that was let go of, and the log of the last writes. */
const STORE_BYTES_MAX = 75_000_000;

async function ask(url: string): Promise<void> {
  const call = request(`${url}/size`, { headers: { 'content-length': BODY.length } }).end(BODY);
  const [reply] = (await once(call, 'response')) as [IncomingMessage];
  await reply.resume().toArray();
  assert.equal(reply.statusCode, 200);
}

test('P7: long requests that change nothing are let go of as well: the order is bounded in bytes', async () => {
  await using spare = await new Spare(LEDGER).start();
  for (let i = 0; i < LONG_REQUESTS; i++) await ask(spare.url);
  const names = readdirSync(spare.data).filter((name) => name.startsWith('spare.db'));
  const bytes = names.reduce((sum, name) => sum + statSync(join(spare.data, name)).size, 0);
  assert.ok(bytes < STORE_BYTES_MAX, `${bytes} bytes`);
  assert.deepEqual(await spare.incidents(), []);
});
