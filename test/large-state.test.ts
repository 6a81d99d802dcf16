/** Does a state that is larger than the memory of a replica go everywhere it must: into one that starts, and out into a checkpoint? */
import assert from 'node:assert/strict';
import { cpSync, mkdtempDisposableSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { PATIENCE_MS, SERVICES, Spare } from './support/spare.ts';

const MIB = 1024 ** 2;
/** Room for what an engine that waits for a processor has not cleared away yet, too. */
const MEMORY_MIB = 224;
const STATE_MIB = 232;
/** Of changes: a checkpoint is made after as much as there was. */
const CHECKPOINT_MIB = 260;
/** Of them, before one is. */
const LOG_MIB = 160;
const PIECES_MIB = 2;

function kinds(incidents: readonly { readonly kind: string }[]): string[] {
  return incidents.map(({ kind }) => kind);
}

function database(path: string): void {
  const db = new DatabaseSync(path);
  db.exec('pragma journal_mode = wal; pragma synchronous = off; create table pieces (bytes blob)');
  const add = db.prepare('insert into pieces values (?)');
  for (let i = 0; i < STATE_MIB; i++) add.run(Buffer.alloc(MIB, i));
  db.close();
}

test('P2 P4: a state larger than the memory of a replica is taken over, replaced on top of a long log, exported, and restarted from', async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-large-'));
  cpSync(join(SERVICES, 'bulk.mjs'), join(folder.path, 'bulk.mjs'));
  database(join(folder.path, 'bulk.db'));
  await using spare = await new Spare({
    folder: folder.path,
    command: ['node', 'bulk.mjs'],
    state: ['bulk.db'],
    limits: { memoryBytes: MEMORY_MIB * MIB },
  }).start();
  const add = async (from: number, to: number): Promise<void> => {
    for (let added = from; added < to; added += PIECES_MIB) {
      const reply = await fetch(`${spare.url}/${PIECES_MIB}`, { method: 'POST' });
      assert.equal(await reply.text(), String(STATE_MIB + added + PIECES_MIB));
    }
  };
  await add(0, LOG_MIB);
  const passive = (await spare.status()).replicas.find(({ role }) => role === 'passive');
  assert.ok(passive !== undefined && passive.pid !== null);
  process.kill(passive.pid, 'SIGKILL');
  await spare.until('it is missed', PATIENCE_MS, async () => (await spare.incidents()).length === 1);
  // Base and updates together.
  await spare.whole();
  await add(LOG_MIB, CHECKPOINT_MIB);
  await spare.until('a checkpoint is made', PATIENCE_MS, () =>
    readdirSync(spare.data).some((name) => name.startsWith('checkpoint-')),
  );
  await spare.whole();
  await spare.signal('SIGKILL');
  await spare.start();
  assert.equal(await (await fetch(spare.url)).text(), String(STATE_MIB + CHECKPOINT_MIB));
  assert.deepEqual(kinds(await spare.incidents()), ['crash'], 'the one that was killed');
});
