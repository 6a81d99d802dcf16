/** Does a group refuse to go on from a data folder of which something is gone, or is not what was written? */
import assert from 'node:assert/strict';
import { cpSync, mkdtempDisposableSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { add, LEDGER, lines } from './support/ledger.ts';
import { SERVICES, Spare } from './support/spare.ts';

test('P2 P5: a group without the state that it began with does not start: all of it would begin with nothing', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-existing-'));
  cpSync(join(SERVICES, 'ledger.mjs'), join(place.path, 'ledger.mjs'));
  const existing = new DatabaseSync(join(place.path, 'ledger.db'));
  existing.exec('pragma journal_mode = wal; create table before (a)');
  existing.close();
  await using spare = new Spare({ ...LEDGER, folder: place.path });
  await spare.start();
  await add(spare.url, 'x');
  await spare.signal('SIGINT');
  const [base, elsewhere] = [join(spare.data, 'base'), join(spare.data, '../base')];
  renameSync(base, elsewhere);
  await assert.rejects(spare.start(), /ended with 1:[^]*base is missing.*\[data-folder-damaged\]/);
  renameSync(elsewhere, base);
  await spare.start();
  assert.equal((await lines(spare.url)).length, 1);
});

test('P1 P2: a group does not go on from an update that is not what was written: all copies would hold it, and agree', async () => {
  await using spare = await new Spare(LEDGER).start();
  await add(spare.url, 'pay 100');
  await spare.signal('SIGINT');
  using database = new DatabaseSync(join(spare.data, 'spare.db'));
  const rows = database.prepare('select idx, bytes from updates').all();
  const change = database.prepare('update updates set bytes = ? where idx = ?');
  for (const { idx, bytes } of rows) {
    const text = Buffer.from(bytes as Uint8Array).toString('latin1');
    change.run(Buffer.from(text.replace('pay 100', 'pay 900'), 'latin1'), Number(idx));
  }
  database.close();
  await assert.rejects(spare.start(), /ended with 1:[^]*is not what was written.*\[data-folder-damaged\]/);
});
