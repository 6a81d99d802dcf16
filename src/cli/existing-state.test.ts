/** Are databases that a service has already taken over whole, durably, or not at all? */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { writeLayout } from '../domains/qemu/image/testing.ts';
import { importExisting, importFromLayers } from './existing-state.ts';
import { onSync } from '../testing.ts';

class Place implements Disposable {
  readonly path: string = fs.mkdtempSync(join(tmpdir(), 'spare-existing-'));
  readonly base: string = join(this.path, 'base');

  constructor() {
    this.database('app.db', 'wal');
  }

  database(name: string, journal: string): void {
    using db = new DatabaseSync(join(this.path, name));
    db.exec(`pragma journal_mode = ${journal}; create table t (a)`);
  }

  take(...state: string[]): string | null {
    return importExisting(this.path, state, this.base, this.path, () => {});
  }

  /** Nothing is left of it. */
  refuses(error: Readonly<Record<string, string | RegExp>>, ...state: string[]): void {
    assert.throws(() => this.take(...state), error);
    assert.deepEqual(this.made(), []);
  }

  made(): string[] {
    return fs.readdirSync(this.path).filter((name) => name.startsWith('base'));
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.path, { recursive: true });
  }
}

void test('existing state is taken over whole or not at all', () => {
  using place = new Place();
  assert.equal(place.take('none.db', 'nor-this.db'), null);
  fs.mkdirSync(join(place.path, 'folder'));
  fs.symlinkSync('/proc/self/mem', join(place.path, 'unreadable.db'));
  const code = 'state-not-database';
  place.refuses({ code, message: /none\.db: there is no such file/ }, 'app.db', 'none.db');
  place.refuses({ code, message: /folder: not a file/ }, 'app.db', 'folder');
  place.refuses({ code, message: /EIO/ }, 'app.db', 'unreadable.db');
  place.database("it's.db", 'delete');
  place.refuses({ code: 'state-not-wal', hint: /: sqlite3 '.*\/it'\\''s\.db' 'PRAGMA/ }, "it's.db");
  fs.writeFileSync(join(place.path, 'empty.db'), '');
  place.refuses({ code: 'state-not-wal', hint: /empty\.db/ }, 'app.db', 'empty.db');
  fs.symlinkSync('/dev/full', `${place.base}.new`);
  place.refuses({ code: 'ENOSPC' }, 'app.db');
  const digest = place.take('app.db');
  assert.deepEqual(place.made(), ['base']);
  assert.equal(digest, createHash('sha256').update(fs.readFileSync(place.base)).digest('base64'));
});

void test('P2: it is on disk before anything is done on top of it', (context) => {
  using place = new Place();
  const durable: string[] = [];
  onSync(context, (path) => durable.push(`${path} when there is ${place.made().join()}`));
  place.take('app.db');
  assert.deepEqual(durable, [`${place.base}.new when there is base.new`, `${place.path} when there is base`]);
});

void test('P2: it is copied on the disk of the data folder, not to `/tmp`, which may be too small for it; nothing but the state is left', (context) => {
  using place = new Place();
  const before = fs.readdirSync(place.path);
  const usual = process.env['TMPDIR'];
  process.env['TMPDIR'] = '/nowhere';
  context.after(() => (usual === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = usual)));
  assert.ok(place.take('app.db') !== null);
  assert.deepEqual(fs.readdirSync(place.path).sort(), [...before, 'base'].sort());
});

void test('what a container image has of the state is taken over as if it were of the host', async () => {
  using place = new Place();
  place.database('plain.db', 'delete');
  for (const folder of ['app', 'layers']) {
    const layer = join(place.path, 'layer', folder);
    fs.mkdirSync(layer, { recursive: true });
    for (const name of ['app.db', 'plain.db']) fs.copyFileSync(join(place.path, name), join(layer, name));
  }
  const oci = await writeLayout(place.path, [join(place.path, 'layer')], {});
  const domains = join(place.path, 'domains');
  fs.mkdirSync(domains);
  const take = (...state: string[]): Promise<string | null> =>
    importFromLayers(oci, '/app', state, place.base, domains, () => {});
  assert.equal(await take('none.db'), null);
  await assert.rejects(take('plain.db'), {
    code: 'state-not-wal',
    message: 'Cannot take over the state: /app/plain.db: not in WAL mode.',
  });
  assert.deepEqual(place.made(), []);
  assert.equal(await take('app.db'), place.take('app.db'));
  const other = await importFromLayers(oci, '/layers', ['app.db'], place.base, domains, () => {});
  assert.equal(other, place.take('app.db'), 'whatever the folder is called');
  assert.deepEqual(fs.readdirSync(domains), []);
});
