/**
 * Does a request that changes much of the state at once either count, for all replicas there will ever be, or have no effect
 * and a reply that says why? And does the group go on whole?
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SERVICES, Spare } from './support/spare.ts';

const BULK = { folder: SERVICES, command: ['node', 'bulk.mjs'], state: ['bulk.db'] };

const add = (url: string, mebibytes: number): Promise<Response> =>
  fetch(`${url}/${mebibytes}`, { method: 'POST' });

test('P4 P5: a change just below 64 MiB is for all replicas to come; one above has no effect, and a reply that says why', async () => {
  await using spare = await new Spare(BULK).start();
  const below = await add(spare.url, 62);
  assert.deepEqual([below.status, await below.text()], [200, '62']);
  const above = await add(spare.url, 66);
  assert.equal(above.status, 502);
  assert.match(await above.text(), /more than 64 MiB/);
  assert.equal(await (await add(spare.url, 1)).text(), '63');
  await spare.whole();
  const incidents = await spare.incidents();
  assert.equal(incidents.length, 3, incidents.map(({ what }) => what).join('\n'));
  for (const { what } of incidents) assert.match(what, /more than 64 MiB/);
  await spare.signal('SIGKILL');
  await spare.start();
  assert.equal(await (await add(spare.url, 1)).text(), '64');
  assert.deepEqual(await spare.incidents(), incidents);
});
