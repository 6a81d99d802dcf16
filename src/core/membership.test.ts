/** Does only what belongs to the present change the view? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from './entry.ts';
import { index, managerId } from './ids.ts';
import { Membership } from './membership.ts';

const [A, B] = [managerId('a'), managerId('b')];

function boot(manager: typeof A, seen: number): Command {
  return { type: 'boot', manager, members: [], seen: index(seen) };
}

function dismiss(manager: typeof A, life: number, by: typeof A, byLife: number): Command {
  return { type: 'dismiss', manager, boot: index(life), by, byBoot: index(byLife) };
}

/** A in the view since 1; B, which was there since 2, dismissed at 3. */
function withoutB(): Membership {
  const membership = new Membership(1, false);
  for (const [at, command] of [boot(A, 0), boot(B, 0), dismiss(B, 2, A, 1)].entries()) {
    membership.apply(index(at + 1), command);
  }
  assert.deepEqual([...membership.managers.ids()], [A]);
  return membership;
}

test('V2: nobody is dismissed in the name of an earlier life, or in a later one than was meant', () => {
  const membership = withoutB();
  membership.apply(index(4), boot(B, 3));
  membership.apply(index(5), dismiss(A, 1, B, 2));
  assert.ok(membership.managers.has(A), 'said by B before it was dismissed');
  membership.apply(index(6), dismiss(B, 2, A, 1));
  assert.ok(membership.managers.has(B), 'said of B before it came back');
  membership.apply(index(7), dismiss(A, 1, B, 4));
  assert.ok(!membership.managers.has(A));
});

const CAME_BETWEEN: readonly (Command | 'mark')[] = [
  'mark',
  { type: 'decide', round: index(3), votes: [] },
  { type: 'skip', index: index(2), reason: 'poison' },
  { type: 'report', manager: A, round: index(3), decided: index(0) },
];

for (const between of CAME_BETWEEN) {
  const name = between === 'mark' ? between : between.type;
  test(`V3: a boot does not count that was asked for before a ${name}`, () => {
    const membership = withoutB();
    if (between === 'mark') membership.marked(index(4));
    else membership.apply(index(4), between);
    membership.apply(index(5), boot(B, 3));
    membership.apply(index(6), boot(A, 3));
    assert.deepEqual([...membership.managers.ids()], [A], 'whoever is in the view restarts at any time');
    membership.apply(index(7), boot(B, 4));
    assert.deepEqual([...membership.managers.ids()], [A, B]);
    const restored = new Membership(1, false);
    restored.restore(membership.state());
    assert.deepEqual(restored.state(), membership.state());
  });
}
