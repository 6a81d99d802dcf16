/**
 * Is there a life that nobody drew? All lives of one manager that differ from the calm one in so many places keep all promises,
 * scope by scope. And would it be noticed? Bugs are planted that random lives need many seeds for. For minutes, and deeper:
 * SPARE_PLACES=4.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { env } from 'node:process';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { BUGS } from './bugs/catalogue.ts';
import { Planted } from './bugs/plant.ts';
import { explore, type Scope } from './explore.ts';

const PLACES = Number(env['SPARE_PLACES'] ?? 2);

const WRITE = { kind: 'write' } as const;
const KEYED = { kind: 'write', key: { key: 'k', fingerprint: 'same' } } as const;
const REFRESH = { refresh: true, requests: [WRITE, WRITE] } as const;

const FAILURES: Scope = {
  requests: [WRITE, WRITE],
  failures: ['reply', 'update', 'crash', 'hang'],
  waits: [250, 2100],
};
const EXPORTS: Scope = { ...REFRESH, failures: ['export'] };
const ROTATION: Scope = {
  requests: [WRITE],
  failures: ['reply', 'crash', 'hang'],
  rotate: 1,
  waits: [250, 2100],
};

const SCOPES: Readonly<Record<string, Scope>> = {
  failures: FAILURES,
  'broken rules': { requests: [WRITE, WRITE], failures: ['stale', 'future', 'flood'], waits: [250] },
  start: { founding: true, requests: [WRITE], failures: ['update', 'crash'], kill: 1 },
  kill: { requests: [KEYED, KEYED, WRITE], failures: ['reply', 'crash'], kill: 2 },
  refresh: { ...REFRESH, failures: ['digest', 'update', 'crash', 'hang'], waits: [2100] },
  exports: EXPORTS,
  'refresh and kill': { refresh: true, requests: [KEYED, KEYED, WRITE], kill: 1 },
  rotation: ROTATION,
  'rotation, refresh and kill': { ...REFRESH, rotate: 2, kill: 1 },
  deploy: { ...ROTATION, rotate: 0, deploy: 1 },
  'deploy, rotation, refresh and kill': { ...REFRESH, deploy: 1, rotate: 1, kill: 1 },
  poison: { requests: [WRITE, { kind: 'poison' }, WRITE], failures: ['crash'], kill: 1 },
  'nothing agrees': { requests: [{ kind: 'random' }, WRITE], failures: ['crash'], kill: 1, deploy: 1 },
  'nobody answers': { requests: [{ kind: 'hang' }, WRITE], waits: [250, 2100], kill: 1 },
};

for (const [name, scope] of Object.entries(SCOPES)) {
  test(`P1-P7: ${name}: all lives that differ in ${PLACES} places keep all promises`, () => {
    const { ends, broken } = explore(scope, PLACES);
    assert.equal(broken, null);
    assert.ok(ends > 5, `${ends} ends`);
  });
}

const PLANTED = [
  ['P5', 'one-crash-is-poison', FAILURES],
  ['P5', 'skip-too-early', FAILURES],
  ['P7', 'trimmed-too-far', EXPORTS],
  ['checkpoint', 'checkpoint-of-f', EXPORTS],
] as const;

for (const [promise, name, scope] of PLANTED) {
  test(`planted bug ${name} is found`, async () => {
    const bug = BUGS.find((candidate) => candidate.name === name);
    assert.ok(bug !== undefined);
    using planted = new Planted(bug);
    const url = pathToFileURL(join(planted.folder, 'sim/explore.ts')).href;
    const { broken } = ((await import(url)) as { explore: typeof explore }).explore(scope, 3);
    assert.match(broken?.what ?? 'nothing', new RegExp(promise));
  });
}
