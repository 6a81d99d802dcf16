/**
 * Do clients notice when replicas are replaced though nothing is wrong with them? RealWorld's suite, while every replica is
 * replaced several times on schedule; and on demand, by the command that an operator has.
 */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { call } from './support/call.ts';
import { conduitSuite } from './support/conduit-suite.ts';
import { CONDUIT, PATIENCE_MS, Spare } from './support/spare.ts';

const SERVICE = { folder: CONDUIT, command: ['node', 'server.mjs'], state: ['conduit.db'] };
const ASSERTIONS = 311;
/** Between two of some 32 requests: so the suite takes several periods. */
const DELAY_MS = 400;

for (const faults of [1, 2]) {
  test(`P3 P6: f = ${faults}, all replicas are replaced on schedule, and clients see nothing`, async () => {
    await using spare = new Spare({ ...SERVICE, faults, recovery: { every: '4s' } });
    await spare.start();
    const first = (await spare.status()).replicas.map(({ id }) => id);
    const { assertions, failures } = await conduitSuite(spare.url, DELAY_MS);
    assert.deepEqual(failures, []);
    assert.equal(assertions, ASSERTIONS);
    await spare.until('all were replaced', PATIENCE_MS, async () => {
      const { replicas, rotations } = await spare.status();
      return rotations.done >= first.length && replicas.every(({ id }) => !first.includes(id));
    });
    assert.deepEqual(await spare.incidents(), []);
    assert.match(spare.output, /^rotated +r0 replaced by r\d+, clean r\d+ asleep, after \d+\.\d s$/m);
    await spare.whole();
  });
}

test('P6: `spare recover` has a clean replica take the place of one that it names', async () => {
  await using spare = new Spare({ ...SERVICE, recovery: { every: 'never' } });
  await spare.start();
  const where = ['--data', spare.data];
  assert.equal(statSync(join(spare.data, 'admin.json')).mode & 0o077, 0, 'the token is for the owner only');
  const active = await call('recover', 'r0', ...where);
  assert.match(active.text, /^rotated +r0 replaced by r2, clean r4 asleep, after /);
  const passive = await call('recover', 'r3', ...where);
  assert.match(passive.text, /^rotated +r3 replaced, clean r5 asleep, after /);
  const { replicas, rotations } = await spare.status();
  assert.deepEqual(
    replicas.map(({ id, role }) => [id, role]),
    [
      ['r1', 'active'],
      ['r2', 'active'],
      ['r4', 'passive'],
      ['r5', 'passive'],
    ],
  );
  const [oldest, , , youngest] = replicas.map(({ ageSeconds }) => ageSeconds);
  assert.ok((oldest ?? 0) > (youngest ?? Infinity));
  assert.deepEqual(rotations, { done: 2, underWay: null });
  const { failures } = await conduitSuite(spare.url);
  assert.deepEqual(failures, []);
  const unknown = await call('recover', 'r0', ...where);
  assert.equal(unknown.status, 2);
  assert.match(unknown.text, /no replica "r0"\. \[replica-unknown\]\n +There are: r1, r2, r4, r5/);
  await spare.signal('SIGINT');
  const ended = await call('recover', 'r1', ...where);
  assert.equal(ended.status, 1);
  assert.match(ended.text, /\[not-running\]/);
});
