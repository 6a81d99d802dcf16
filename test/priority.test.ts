/**
 * Do those that start go behind those that serve, but not behind the rest of the machine while nobody serves? On the real
 * sessions of a real group, whose service starts when it is let.
 */
import { existsSync, mkdirSync, mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readAccess } from '../src/admin/access.ts';
import { PATIENCE_MS, SERVICES, signalTree, Spare } from './support/spare.ts';

/** Whatever serves, a replica stays behind for so long only. */
const BEHIND_SECONDS = 15;
const WAITS = `import { readFileSync } from 'node:fs';
  const clock = new Int32Array(new SharedArrayBuffer(4));
  while (readFileSync('lib/gate', 'utf8') !== 'open') Atomics.wait(clock, 0, 0, 50);`;

function niceOf(pid: number | null): number {
  try {
    return Number(readFileSync(`/proc/${pid}/autogroup`, 'utf8').split(' nice ')[1]);
  } catch {
    return NaN;
  }
}

test('P5: a replica that starts goes behind those that serve, and along with all others while nobody does', async (context) => {
  if (!existsSync('/proc/self/autogroup')) return context.skip('sessions are not grouped here');
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-site-'));
  const gate = join(place.path, 'lib/gate');
  mkdirSync(join(place.path, 'lib'));
  writeFileSync(gate, 'shut');
  writeFileSync(join(place.path, 'wait.mjs'), WAITS);
  const ledger = readFileSync(join(SERVICES, 'ledger.mjs'), 'utf8');
  writeFileSync(join(place.path, 'server.mjs'), `import './wait.mjs';\n${ledger}`);
  const command = ['node', 'server.mjs'];
  await using spare = new Spare({ folder: place.path, command, state: ['ledger.db'] });
  /** While the gate is shut: of all that start. */
  const starting = async (nice: number): Promise<boolean> => {
    // Said before it is up.
    spare.admin = readAccess(spare.data)?.url ?? '';
    const { replicas } = await spare.status();
    const found = replicas.filter(({ state, pid }) => state === 'starting' && pid !== null);
    const young = found.every(({ ageSeconds }) => ageSeconds < BEHIND_SECONDS);
    return found.length > 0 && young && found.every(({ pid }) => niceOf(pid) === nice);
  };
  const started = spare.start();
  await spare.until('the group starts at once', PATIENCE_MS, () => starting(0).catch(() => false));
  writeFileSync(gate, 'open');
  await started;
  writeFileSync(gate, 'shut');
  const victim = await spare.victim();
  signalTree(victim.pid, 'SIGKILL');
  await spare.until('a clean one goes behind', PATIENCE_MS, () => starting(19));
  const { replicas } = await spare.status();
  for (const { state, pid } of replicas) if (state !== 'starting' && pid !== null) signalTree(pid, 'SIGKILL');
  await spare.until('those that are left start at once', PATIENCE_MS, () => starting(0));
  return undefined;
});
