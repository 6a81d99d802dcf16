/**
 * A service that uses the clock, randomness and timers without a thought: do its copies stay the same, also those
 * that take over later?
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PATIENCE_MS, SERVICES, signalTree, Spare } from './support/spare.ts';

interface Answer {
  readonly born: string;
  readonly now: { readonly time: number; readonly random: number; readonly bytes: string };
  readonly ticks: readonly { readonly at: number; readonly text: string }[];
}

async function ask(url: string): Promise<Answer> {
  const reply = await fetch(url);
  assert.equal(reply.status, 200);
  return (await reply.json()) as Answer;
}

test('P1 P4: clock, randomness and timers are the same in all copies, also in those that take over', async () => {
  await using spare = await new Spare({
    folder: SERVICES,
    command: ['node', 'ticker.mjs'],
    state: ['ticker.db'],
  }).start();
  const ticked = async (times: number): Promise<Answer> => {
    let answer = await ask(spare.url);
    await spare.until('its interval runs', PATIENCE_MS, async () => {
      answer = await ask(spare.url);
      return answer.ticks.length >= times;
    });
    return answer;
  };
  const first = await ticked(1);
  const again = await ask(spare.url);
  assert.notEqual(again.now.bytes, first.now.bytes, 'each request has randomness of its own');
  assert.ok(Math.abs(again.now.time - Date.now()) < 60_000 && again.now.time >= first.now.time);
  const victim = await spare.victim();
  signalTree(victim.pid, 'SIGKILL');
  const after = await ask(spare.url);
  assert.equal(after.born, first.born, 'what it drew at its start is the same in every copy');
  assert.deepEqual(after.ticks.slice(0, first.ticks.length), first.ticks);
  await spare.whole();
  await ticked(after.ticks.length + 1);
  const incidents = await spare.incidents();
  assert.deepEqual(
    incidents.map(({ kind }) => kind),
    ['crash'],
  );
});

/** Node, made to go by `BUN_OPTIONS`, as Bun does, and not by its own. */
const AS_BUN = `
  const { BUN_OPTIONS, NODE_OPTIONS, ...env } = process.env;
  const parts = ['node', '--import', BUN_OPTIONS.replace('--preload=', ''), 'ticker.mjs'];
  process.execve(process.execPath, parts, env);`;

test('P1: Bun gets the module as Node does', async () => {
  await using spare = await new Spare({
    folder: SERVICES,
    command: ['node', '-e', AS_BUN],
    state: ['ticker.db'],
  }).start();
  const first = await ask(spare.url);
  assert.notEqual((await ask(spare.url)).now.random, first.now.random);
  assert.deepEqual(await spare.incidents(), []);
});

/** All replies to many requests at once, each asked for `rounds` times. */
async function askAll(url: string, paths: readonly string[], rounds: number): Promise<string[]> {
  const asked = Array.from({ length: rounds }, () => paths).flat();
  const replies = asked.map(async (path) => {
    const reply = await fetch(`${url}${path}`);
    return reply.status === 200 ? await reply.text() : `${path}: ${reply.status}`;
  });
  return Promise.all(replies);
}

async function assertAgreed(paths: readonly string[], replies: readonly string[]): Promise<void> {
  await using spare = await new Spare({
    folder: SERVICES,
    command: ['node', 'loose.mjs'],
    state: ['loose.db'],
  }).start();
  assert.deepEqual(await askAll(spare.url, paths, 20), Array.from({ length: 20 }, () => replies).flat());
  assert.deepEqual(await spare.incidents(), []);
}

test('P1 P5: what Node does in the turn in which its reply ends belongs to the request', async () => {
  const ways = ['turn', 'finish', 'close', 'immediate', 'deferred'];
  await assertAgreed(
    ways.map((way) => `/${way}`),
    ways,
  );
});

test('P1 P5: also where the request had another thread of the service answer one of its own', async () => {
  await assertAgreed(['/elsewhere'], ['elsewhere']);
});

test('P1 P5: a child process of a request may wait before it answers', async () => {
  await assertAgreed(['/waited'], ['waited']);
});

test('P1 P5: what one request begins in parallel ends in the same order in all copies', async () => {
  await assertAgreed(['/parallel'], ['abcdef']);
});
