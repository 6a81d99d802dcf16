/** Is what proves the right to change something out of the reach of others? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { publishAccess, readAccess, withdrawAccess } from './access.ts';

test('the token is for its owner only, whatever lay in the place of its file, and goes with the run', () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-access-'));
  const file = join(place.path, 'admin.json');
  writeFileSync(file, 'of somebody else', { mode: 0o644 });
  const access = { url: 'http://127.0.0.1:1', token: 'secret', config: '' };
  publishAccess(place.path, access);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readAccess(place.path), access);
  withdrawAccess(place.path);
  assert.equal(readAccess(place.path), null);
});
