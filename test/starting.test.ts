/**
 * On what does the service of a copy start that comes later? On what clients have made of the state until then, as it would without
 * Spare: what it reads there and keeps is not from the time in which the group was founded.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call } from './support/call.ts';
import { SERVICES, Spare } from './support/spare.ts';

const SERVICE = {
  folder: SERVICES,
  command: ['node', 'settings.mjs'],
  state: ['settings.db'],
  recovery: { every: 'never' as const },
};

async function ask(spare: Spare, path: string): Promise<string> {
  const reply = await fetch(`${spare.url}${path}`);
  assert.equal(reply.status, 200, spare.output);
  return await reply.text();
}

/** So that all who serve afterwards were started now. */
async function replaceAll(spare: Spare): Promise<void> {
  for (const { id } of (await spare.status()).replicas) {
    const { status, text } = await call('recover', id, '--data', spare.data);
    assert.equal(status, 0, text);
  }
}

test('P3: what a service reads when it starts is what clients have made of it, in a replacement and after a restart', async () => {
  await using spare = new Spare(SERVICE);
  await spare.start();
  assert.equal(await ask(spare, '/'), 'hello, nothing stored, 1 start');
  await ask(spare, '/set?to=moin');
  await replaceAll(spare);
  assert.equal(await ask(spare, '/'), 'moin, moin stored, 1 start');
  await ask(spare, '/set?to=servus');
  await spare.signal('SIGKILL');
  await spare.start();
  assert.equal(await ask(spare, '/'), 'servus, servus stored, 1 start');
  await spare.whole();
  assert.deepEqual(await spare.incidents(), []);
});

test('P6: a state on which a service does not start keeps nobody from being replaced, nor the group from being started', async () => {
  await using spare = new Spare(SERVICE);
  await spare.start();
  await ask(spare, '/set?to=unfit');
  await replaceAll(spare);
  assert.match(
    spare.output,
    /^again +r4 starts on the initial state, because of the present one: .*ended before it listened/m,
  );
  assert.equal(await ask(spare, '/'), 'hello, unfit stored, 1 start');
  await spare.signal('SIGKILL');
  await spare.start();
  assert.equal(await ask(spare, '/'), 'hello, unfit stored, 1 start');
  await spare.whole();
  assert.deepEqual(await spare.incidents(), []);
});
