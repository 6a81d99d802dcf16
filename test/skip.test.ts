/**
 * What becomes of a request that no f+1 replicas can agree on, that ends every replica, or that is never answered?
 * It gets a 502 that says so, it has no effect, and the service goes on.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SERVICES, Spare } from './support/spare.ts';

const QUIRKS = {
  folder: SERVICES,
  command: ['node', 'quirks.mjs'],
  state: ['quirks.db'],
  limits: { requestTimeoutMs: 3000 },
};

async function count(url: string): Promise<string> {
  return await (await fetch(`${url}/`, { method: 'POST' })).text();
}

const CASES = [
  { path: '/differs', reason: /do not agree/, kind: 'no-agreement', lost: 0 },
  // f+1 went down with it: as few as it takes to know.
  { path: '/dies', reason: /ended every replica/, kind: 'poison', lost: 2 },
  { path: '/hangs', reason: /did not answer/, kind: 'timeout', lost: null },
];

for (const { path, reason, kind, lost } of CASES) {
  test(`P5: a request to ${path} has no effect but a 502 that says why, and the service goes on`, async () => {
    await using spare = await new Spare(QUIRKS).start();
    assert.equal(await count(spare.url), '1');
    const ask = { method: 'POST', headers: { 'idempotency-key': path } };
    const [bad, beside] = await Promise.all([fetch(`${spare.url}${path}`, ask), count(spare.url)]);
    assert.equal(bad.status, 502);
    assert.match(await bad.text(), reason);
    assert.equal(beside, '2', 'what came with it is executed on the state before it');
    assert.equal(await count(spare.url), '3');
    await spare.whole();
    const incidents = await spare.incidents();
    assert.deepEqual(
      incidents.flatMap((incident) => (incident.replica === null ? [incident.kind] : [])),
      [kind],
    );
    if (lost !== null) assert.equal(incidents.length, 1 + lost, incidents.map(({ what }) => what).join('\n'));
    await spare.signal('SIGKILL');
    await spare.start();
    assert.equal(await count(spare.url), '4', 'it is not executed after a restart either');
    if (kind === 'poison') assert.match(await (await fetch(`${spare.url}${path}`, ask)).text(), reason);
    assert.deepEqual(await spare.incidents(), incidents, 'nor for its key, if it ended all that executed it');
  });
}
