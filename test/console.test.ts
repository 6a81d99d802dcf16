/** What does an operator see of what copies print? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call, Place } from './support/call.ts';
import { GOOD, SERVICE } from './support/hello.ts';

test('P7: `spare console` says what a copy printed last, in lines that are safe for a terminal', async () => {
  using place = new Place();
  const say = String.raw`console.log('first line\n\u001b[31msecond line');`;
  place.write('service.mjs', `${say} ${SERVICE}`).configure(GOOD);
  await using group = place.run();
  const { status } = await group.ready();
  const data = ['--data', `${place.folder}/data`];
  assert.deepEqual(await call('console', 'r2', ...data), {
    status: 0,
    text: 'first line\n\ufffd[31msecond line\n',
  });
  const unknown = await call('console', 'r9', ...data);
  assert.equal(unknown.status, 2);
  assert.match(unknown.text, /no replica "r9"\. \[replica-unknown\]\n +There are: r0, r1, r2, r3/);
  const open = await fetch(new URL('/replicas/r2/console', status));
  assert.equal(open.status, 401);
});
