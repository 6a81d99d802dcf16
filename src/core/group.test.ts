/** Do roles stay sound whatever commands come, also such as no longer fit when they are ordered? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Command, Member } from './entry.ts';
import { Group } from './group.ts';
import { index, managerId, replicaId, type ReplicaId } from './ids.ts';

const MANAGER = managerId('m0');

/** A command whose replicas are numbers: of those seen so far, or new. */
type Draft =
  | { type: 'boot' | 'join' | 'suspect' | 'skip' }
  | { type: 'expel'; which: number }
  | { type: 'settle'; which: number[] };

const draft: fc.Arbitrary<Draft> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Draft>({ type: 'boot' }) },
  { weight: 6, arbitrary: fc.constantFrom<Draft>({ type: 'join' }, { type: 'suspect' }, { type: 'skip' }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('expel' as const), which: fc.nat(30) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('settle' as const),
      which: fc.array(fc.nat(30), { maxLength: 5 }),
    }),
  },
);

class Script {
  readonly #faults: number;
  readonly seen: ReplicaId[] = [];

  constructor(faults: number) {
    this.#faults = faults;
  }

  #new(role: Member['role']): Member {
    const replica = replicaId(`r${this.seen.length}`);
    this.seen.push(replica);
    return { replica, manager: MANAGER, variant: 0, role };
  }

  #old(which: number): ReplicaId {
    return this.seen[this.seen.length - 1 - (which % Math.max(1, this.seen.length))] ?? replicaId('nobody');
  }

  command(draft: Draft): Command {
    switch (draft.type) {
      case 'boot': {
        const quorum = this.#faults + 1;
        const members = Array.from({ length: 2 * quorum }, (_, i) =>
          this.#new(i < quorum ? 'active' : 'passive'),
        );
        return { type: 'boot', manager: MANAGER, members, seen: index(-1) };
      }
      case 'join':
        return { type: 'join', member: this.#new('passive') };
      case 'suspect':
        return { type: 'suspect', index: index(0) };
      case 'skip':
        return { type: 'skip', index: index(0), reason: 'poison' };
      case 'expel':
        return { type: 'expel', replica: this.#old(draft.which), kind: 'crash', index: index(0) };
      case 'settle':
        return { type: 'settle', active: draft.which.map((which) => this.#old(which)) };
    }
  }
}

void test('P5 G1 G2 G3: under any commands roles only go from passive to active to gone, and f+1 act when all is calm', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), fc.array(draft, { maxLength: 60 }), (faults, drafts) => {
      const group = new Group(faults);
      const script = new Script(faults);
      const left = new Set<ReplicaId>();
      const wasActive = new Set<ReplicaId>();
      for (const [at, draft] of [{ type: 'boot' } as const, ...drafts].entries()) {
        const before = new Map([...group.members()].map((member) => [member.replica, member]));
        const change = group.apply(index(at), script.command(draft));
        for (const { replica } of change.left) left.add(replica);
        for (const { replica } of group.members()) assert.ok(!left.has(replica), 'G1: none comes back');
        for (const { replica } of group.active()) wasActive.add(replica);
        const passive = [...group.members()].filter(({ role }) => role === 'passive');
        for (const { replica } of passive) assert.ok(!wasActive.has(replica), 'G1: none goes back to sleep');
        if (group.suspicion !== null) assert.deepEqual(passive, [], 'G2: all execute');
        else assert.equal(group.active().length, faults + 1, 'G3: f+1 execute');
        // What is reported is what happened.
        for (const { replica } of change.woken) assert.equal(before.get(replica)?.role, 'passive');
        const gone = [...before.keys()].filter((replica) => group.get(replica) === undefined);
        assert.deepEqual(change.left.map(({ replica }) => replica).sort(), gone.sort());
      }
    }),
    { numRuns: 500 },
  );
});

void test('P5 G2: a settle that no longer fits changes nothing', () => {
  const group = new Group(1);
  const script = new Script(1);
  group.apply(index(0), script.command({ type: 'boot' }));
  group.apply(index(1), { type: 'suspect', index: index(0) });
  group.apply(index(2), { type: 'expel', replica: replicaId('r0'), kind: 'crash', index: index(0) });
  for (const names of [['r0', 'r1'], ['r1'], ['r1', 'r1'], ['r1', 'r2', 'r3'], []]) {
    const change = group.apply(index(3), { type: 'settle', active: names.map(replicaId) });
    assert.deepEqual(change.left, []);
    assert.notEqual(group.suspicion, null);
  }
  group.apply(index(4), { type: 'settle', active: ['r1', 'r3'].map(replicaId) });
  assert.deepEqual(
    group.active().map(({ replica }) => replica),
    ['r1', 'r3'],
  );
});

void test('G4: at a promote the old one votes on what comes before, the new one on what comes after, f+1 on each', () => {
  const group = new Group(1);
  const script = new Script(1);
  group.apply(index(0), script.command({ type: 'boot' }));
  const [out, by] = ['r0', 'r2'].map(replicaId);
  assert.ok(out !== undefined && by !== undefined);
  group.apply(index(1), { type: 'rotate', replica: out, by });
  group.apply(index(5), { type: 'promote', replica: by, replaces: out });
  const voters = (at: number): ReplicaId[] => group.voters(index(at)).map(({ replica }) => replica);
  assert.deepEqual(voters(4), ['r1', 'r0']);
  assert.deepEqual(voters(6), ['r1', 'r2']);
});

void test('S1: only a suspicion that fewer than 2f+1 are left to end lets a new version take over in it', () => {
  const group = new Group(1);
  const script = new Script(1);
  group.apply(index(0), script.command({ type: 'boot' }));
  const expel = (at: number, name: string): void =>
    void group.apply(index(at), { type: 'expel', replica: replicaId(name), kind: 'crash', index: index(0) });
  assert.deepEqual([group.helpless, group.succeedable], [false, true]);
  expel(1, 'r0');
  assert.notEqual(group.suspicion, null);
  assert.deepEqual([group.helpless, group.succeedable], [false, false]);
  expel(2, 'r1');
  assert.deepEqual([group.helpless, group.succeedable], [true, true]);
  group.apply(index(3), { type: 'settle', active: ['r2', 'r3'].map(replicaId) });
  assert.deepEqual([group.helpless, group.succeedable], [false, true]);
});
