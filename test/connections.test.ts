/** Can clients that only connect take from the manager what it needs for its own files and domains? */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Status } from '../src/admin/admin.ts';
import { Place } from './support/call.ts';
import { LEDGER } from './support/ledger.ts';
import { signalTree } from './support/spare.ts';

const DESCRIPTORS_MAX = 400;
const IDLE = 600;

function idle(url: string): Socket {
  const { hostname, port } = new URL(url);
  // Those beyond the limit are closed.
  return connect(Number(port), hostname).on('error', () => {});
}

test('P7: idle connections to both ports leave descriptors enough to write up a death and to replace the dead', async () => {
  using place = new Place().configure(LEDGER);
  await using call = place.run(DESCRIPTORS_MAX);
  const { service, status } = await call.ready();
  const { replicas } = (await (await fetch(status)).json()) as Status;
  const victim = replicas.find(({ role }) => role === 'active')?.pid;
  assert.ok(victim !== null && victim !== undefined);
  const sockets = [service, status].flatMap((url) => Array.from({ length: IDLE }, () => idle(url)));
  await delay(1000);
  assert.ok(sockets.some(({ readyState }) => readyState === 'open'));
  signalTree(victim, 'SIGKILL');
  await call.until(() => /^repaired /m.test(call.stdout));
  for (const socket of sockets) socket.destroy();
  await delay(1000);
  assert.equal((await fetch(`${service}/entries`)).status, 200);
  assert.match(call.stdout, /^incident   1: replica r\d, entry \d+: crash: /m);
  assert.equal(call.stderr, '');
});
