/** Is the update log bounded, and a checkpoint never made of fewer than f+1 equal exports of the same mark? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { digest, index, replicaId } from './ids.ts';
import { Refresh, type RefreshLimits } from './refresh.ts';
import { NO_REFRESH } from './testing/never.ts';

void test('P7: each limit alone makes a mark due, once, until the mark is decided or skipped', () => {
  const limits: Partial<RefreshLimits>[] = [
    { entries: 10 },
    { bytes: 1000 },
    { ageMs: 90 },
    { ordered: 10 },
    { orderedBytes: 500 },
  ];
  for (const limit of limits) {
    const refresh = new Refresh({ ...NO_REFRESH, ...limit }, 0, 0);
    let now = 0;
    for (; !refresh.due(now); now += 10) {
      assert.ok(now <= 100, `${JSON.stringify(limit)} is reached`);
      refresh.decided(50, 100, now);
    }
    assert.ok(now >= 90, `${JSON.stringify(limit)} is not reached early`);
    assert.ok(!refresh.due(now), 'once');
    refresh.cancel();
    assert.ok(refresh.due(now), 'again after its mark was skipped');
    refresh.begin(index(1), digest('state'));
    assert.ok(!refresh.due(now), 'not while a round is on');
    refresh.end(2);
    assert.ok(!refresh.due(now), 'and then it counts anew');
    assert.deepEqual([refresh.entries, refresh.bytes], [0, 0]);
  }
});

void test('P7: entries that change nothing bound the order, not the update log', () => {
  const refresh = new Refresh({ ...NO_REFRESH, entries: 1, bytes: 1, ageMs: 1, ordered: 5 }, 0, 0);
  for (let i = 0; i < 4; i++) refresh.decided(0, 0, 0);
  assert.ok(!refresh.due(1000));
  refresh.decided(0, 0, 0);
  assert.ok(refresh.due(1000));
});

const exported = fc.record({
  replica: fc.nat(5),
  mark: fc.constantFrom(7, 7, 7, 3),
  digest: fc.constantFrom('a', 'a', 'b', 'c'),
});

void test('P2 P7: a checkpoint is what f+1 exports of this mark agree on; else the oldest of f+1 is in dispute', () => {
  fc.assert(
    fc.property(fc.array(exported, { maxLength: 8 }), fc.integer({ min: 2, max: 4 }), (exports, quorum) => {
      const refresh = new Refresh(NO_REFRESH, 0, 0);
      refresh.begin(index(7), digest('state'));
      const valid = new Map<number, string>();
      for (const { replica, mark, digest: said } of exports) {
        refresh.exported(replicaId(`r${replica}`), index(mark), digest(said));
        if (mark === 7) valid.set(replica, said);
      }
      const ended = refresh.end(quorum);
      assert.equal(ended?.mark, 7);
      const count = (said: string): number => [...valid.values()].filter((other) => other === said).length;
      const agreed = [...valid.values()].filter((said) => count(said) >= quorum);
      assert.equal(ended.checkpoint !== null, agreed.length > 0);
      if (ended.checkpoint !== null) assert.ok(count(ended.checkpoint) >= quorum);
      const [oldest] = valid.keys();
      const disputed = agreed.length === 0 && valid.size >= quorum ? `r${oldest}` : null;
      assert.equal(ended.disputed, disputed);
      assert.equal(refresh.end(quorum), null, 'a round ends once');
      assert.equal(refresh.round, null);
    }),
  );
});

void test('P2: states are exported once enough was written since the last checkpoint', () => {
  const refresh = new Refresh({ ...NO_REFRESH, checkpointBytes: 1000 }, 0, 0);
  refresh.decided(0, 999, 0);
  refresh.begin(index(1), digest('state'));
  assert.equal(refresh.round?.exporting, false);
  refresh.end(1);
  refresh.decided(0, 1, 0);
  for (const agree of [false, true]) {
    refresh.begin(index(2), digest('state'));
    assert.equal(refresh.round?.exporting, true, 'until there is a checkpoint');
    if (agree) refresh.exported(replicaId('r1'), index(2), digest('bytes'));
    refresh.end(1);
  }
  refresh.begin(index(3), digest('state'));
  assert.equal(refresh.round?.exporting, false);
});

void test('P7: a state is exported once as much was written as the last checkpoint is large, however much it grows', () => {
  const refresh = new Refresh({ ...NO_REFRESH, checkpointBytes: 1000 }, 3000, 1000);
  let mark = 0;
  const exports = (): boolean => {
    mark++;
    refresh.decided(0, 1000, 0);
    refresh.begin(index(mark), digest('state'));
    const { exporting } = refresh.round ?? { exporting: false };
    if (exporting) refresh.exported(replicaId('r1'), index(mark), digest('bytes'));
    if (refresh.end(1)?.checkpoint !== null) refresh.checkpointSize = 4000;
    return exporting;
  };
  assert.deepEqual([exports(), exports()], [false, true], 'what was written before a restart counts');
  assert.deepEqual([exports(), exports(), exports(), exports()], [false, false, false, true]);
});
