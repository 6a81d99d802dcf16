/** Which results does a replica still owe, when its state was restored meanwhile? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { index, replicaId } from './ids.ts';
import { type Local, oldestOwed } from './local.ts';

function owing(...results: [number, boolean][]): Local {
  const owed = results.map(([at, isVoid]) => ({
    type: 'result' as const,
    index: index(at),
    void: isVoid,
  }));
  return {
    id: replicaId('r0'),
    variant: 0,
    version: 0,
    startedAt: 0,
    phase: 'executing',
    since: 0,
    heardAt: 0,
    pausedAt: null,
    applied: index(-1),
    owed,
    turn: 0,
    stale: false,
    woken: false,
    overtimeMs: 0,
    until: null,
    held: null,
    fed: true,
    filling: false,
    faulty: false,
  };
}

test('P6: an entry that is executed anew is owed, though later ones are asked for before it', () => {
  assert.equal(oldestOwed(owing()), null);
  assert.equal(oldestOwed(owing([5, false], [6, false])), 5);
  assert.equal(oldestOwed(owing([7, true], [8, true], [5, false], [6, false])), 5);
  assert.equal(oldestOwed(owing([7, true], [9, true], [6, true], [8, false])), 6);
});
