/**
 * Is every replica replaced in time, one at a time, whatever the group goes through? A group that does what it is told stands in
 * for the real one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { replicaId, type ReplicaId } from '../core/index.ts';
import { type ErrorCode, SpareError } from '../errors.ts';
import { type RecoveryOptions, Rejuvenation, type Rotated } from './rejuvenation.ts';

const SIZE = 4;
const STEP_MS = 10;
const ROTATION_MS = 50;
const START_MS = 300;

/** Replicas in the order of their start; the first of them that are up are active. */
class FakeGroup {
  now = 0;
  suspicion = false;
  refusal: SpareError | null = null;
  /** How often it was checked whether a clean one could be started. */
  checks = 0;
  /** What happens to it while it is checked whether a clean one could be started. */
  meanwhile: () => unknown = () => {};
  readonly rotated: Rotated[] = [];
  startMs = START_MS;
  /** The age of each one that was replaced. */
  readonly ages: number[] = [];
  readonly births = new Map<ReplicaId, number>();
  isOutdated: (replica: ReplicaId) => boolean = () => false;
  readonly rejuvenation: Rejuvenation;
  #next = 0;
  #leaving: { replica: ReplicaId; at: number } | null = null;
  #up = 0;

  constructor(options: RecoveryOptions | null) {
    for (let i = 0; i < SIZE; i++) this.#start();
    this.#up = 0;
    this.rejuvenation = new Rejuvenation(options, SIZE, {
      births: () => this.births,
      isActive: (replica) => [...this.births.keys()].indexOf(replica) < SIZE / 2,
      isOutdated: (replica) => this.isOutdated(replica),
      isCalm: () => !this.suspicion && this.births.size === SIZE && this.now >= this.#up,
      rotate: (replica) => this.#rotate(replica),
      check: async () => {
        this.checks++;
        if (this.refusal !== null) throw this.refusal;
        await this.meanwhile();
      },
      onRotated: (rotated) => this.rotated.push(rotated),
    });
  }

  #start(): void {
    this.births.set(replicaId(`r${this.#next++}`), this.now);
    this.#up = this.now + this.startMs;
  }

  /** Like the core: forgotten when it cannot be, and once when it is under way. */
  #rotate(replica: ReplicaId): void {
    if (this.suspicion || this.#leaving !== null) return;
    this.#leaving = { replica, at: this.now + ROTATION_MS };
  }

  fail(replica: ReplicaId): void {
    this.births.delete(replica);
    this.#start();
  }

  async run(ms: number, stepMs: number = STEP_MS): Promise<void> {
    for (const end = this.now + ms; this.now < end;) {
      this.now += stepMs;
      const leaving = this.#leaving;
      if (this.suspicion) this.#leaving = null;
      else if (leaving !== null && leaving.at <= this.now) {
        this.#leaving = null;
        this.ages.push(this.now - (this.births.get(leaving.replica) ?? NaN));
        this.fail(leaving.replica);
      }
      this.rejuvenation.clock(this.now);
      await setImmediate();
    }
  }
}

async function refused(code: ErrorCode, action: Promise<unknown>): Promise<void> {
  await assert.rejects(action, (error) => error instanceof SpareError && error.code === code);
}

const DAY = { everyMs: 10_000, spreadMs: 10_000 };

test('P6: every replica is replaced before it is two periods old, and none before it is one', async () => {
  for (const spreadMs of [1000, 4000, 10_000]) {
    const group = new FakeGroup({ ...DAY, spreadMs });
    await group.run(100_000);
    assert.ok(group.ages.length >= 5 * SIZE, `${group.ages.length} rotations`);
    for (const age of group.ages) assert.ok(age >= 10_000 && age < 20_000, `${age} ms`);
    for (const [id, at] of group.births) assert.ok(group.now - at < 20_000, id);
  }
});

test('P6: replicas that are due at once are replaced one by one, evenly over the spread', async () => {
  const group = new FakeGroup({ everyMs: 10_000, spreadMs: 4000 });
  await group.run(9_900);
  assert.equal(group.rotated.length, 0);
  for (let done = 1; done <= SIZE; done++) {
    await group.run(1000);
    assert.equal(group.rotated.length, done);
  }
  assert.deepEqual(
    group.rotated.map(({ replica, by, clean }) => [replica, by, clean]),
    [
      ['r0', 'r2', 'r4'],
      ['r1', 'r3', 'r5'],
      ['r2', 'r4', 'r6'],
      ['r3', 'r5', 'r7'],
    ],
  );
});

const [MINUTE_MS, HOUR_MS] = [60_000, 3_600_000];

test('P3: a passive one is no older than an hour, and of the last minutes when it takes over on schedule', async () => {
  const group = new FakeGroup({ everyMs: 24 * HOUR_MS, spreadMs: 24 * HOUR_MS });
  let before = new Map(group.births);
  const takenOver: number[] = [];
  for (let minute = 0; minute < 60 * 60; minute++) {
    await group.run(MINUTE_MS, MINUTE_MS / 6);
    for (const { by } of group.rotated.splice(0))
      if (by !== null) takenOver.push(group.now - (before.get(by) ?? NaN));
    before = new Map(group.births);
    const ages = Array.from(group.births.values(), (at) => group.now - at);
    for (const age of ages.slice(SIZE / 2)) assert.ok(age <= HOUR_MS + 5 * MINUTE_MS, `${age} ms`);
    for (const age of ages) assert.ok(age < 48 * HOUR_MS, `${age} ms`);
  }
  assert.ok(takenOver.length >= 4 && takenOver.length <= 6, `${takenOver.length} in 60 hours`);
  for (const age of takenOver) assert.ok(age <= 15 * MINUTE_MS, `${age} ms`);
});

test('P3: a passive one that knows something old is replaced at once, a young one after minutes; none that is active', async () => {
  const group = new FakeGroup({ everyMs: 24 * HOUR_MS, spreadMs: 24 * HOUR_MS });
  await group.run(20 * MINUTE_MS, MINUTE_MS / 60);
  const old = new Set(['r0', 'r3']);
  group.isOutdated = (replica) => old.has(replica);
  await group.run(MINUTE_MS, MINUTE_MS / 60);
  assert.deepEqual(
    group.rotated.splice(0).map(({ replica, by, clean }) => [replica, by, clean]),
    [['r3', null, 'r4']],
  );
  old.add('r4');
  await group.run(3 * MINUTE_MS, MINUTE_MS / 60);
  assert.equal(group.rotated.length, 0);
  await group.run(2 * MINUTE_MS, MINUTE_MS / 60);
  assert.equal(group.rotated[0]?.replica, 'r4');
});

test('P6: where all that is passive is outdated all the time, it is replaced every few minutes, more seldom where that takes minutes, and all in time', async () => {
  for (const [startMs, min, max] of [
    [START_MS, 560, 700],
    [MINUTE_MS / 2, 80, 100],
  ] as const) {
    const group = new FakeGroup({ everyMs: 24 * HOUR_MS, spreadMs: 24 * HOUR_MS });
    group.startMs = startMs;
    group.isOutdated = () => true;
    await group.run(24 * HOUR_MS, MINUTE_MS / 60);
    assert.ok(group.rotated.length >= min && group.rotated.length <= max, `${group.rotated.length} in a day`);
    await group.run(24 * HOUR_MS, MINUTE_MS / 60);
    for (const [id, at] of group.births) assert.ok(group.now - at < 48 * HOUR_MS, id);
  }
});

test('P6: where it takes minutes to replace one, passive ones are replaced more seldom, and all in time', async () => {
  const group = new FakeGroup({ everyMs: 24 * HOUR_MS, spreadMs: 24 * HOUR_MS });
  group.startMs = 20 * MINUTE_MS;
  await group.run(120 * HOUR_MS, MINUTE_MS);
  assert.ok(
    group.rotated.length > 4 * 4 && group.rotated.length < 60,
    `${group.rotated.length} in five days`,
  );
  for (const [id, at] of group.births) assert.ok(group.now - at < 48 * HOUR_MS, id);
});

test('P5: nothing is begun while the group is not calm; what was begun goes on after that', async () => {
  const group = new FakeGroup(DAY);
  await group.run(9_900);
  group.suspicion = true;
  await group.run(5000);
  assert.equal(group.rejuvenation.underWay, null);
  group.suspicion = false;
  await group.run(2 * STEP_MS);
  assert.equal(group.rejuvenation.underWay, 'r0');
  group.suspicion = true;
  await group.run(5000);
  assert.ok(group.births.has(replicaId('r0')));
  group.suspicion = false;
  await group.run(1000);
  assert.ok(!group.births.has(replicaId('r0')));
  assert.equal(group.rotated[0]?.replica, 'r0');
});

test('P6: a rotation that a suspicion kept from beginning follows when that is over, not a whole gap later', async () => {
  const group = new FakeGroup(DAY);
  group.meanwhile = () => (group.suspicion = true);
  await group.run(10_100);
  assert.ok(group.suspicion && group.rejuvenation.underWay === null);
  group.meanwhile = () => {};
  group.suspicion = false;
  await group.run(2 * STEP_MS);
  assert.equal(group.rejuvenation.underWay, 'r0');
});

test('P6: one that was lost while it was checked whether a clean one could be started is not counted as replaced', async () => {
  const group = new FakeGroup(DAY);
  const checked = Promise.withResolvers<void>();
  group.meanwhile = () => checked.promise;
  await group.run(10_010);
  group.fail(replicaId('r0'));
  await group.run(START_MS);
  checked.resolve();
  await group.run(2 * STEP_MS);
  assert.equal(group.rejuvenation.underWay, 'r1');
  await group.run(1000);
  assert.deepEqual(
    group.rotated.map(({ replica }) => replica),
    ['r1'],
  );
});

test('P6: one that was replaced after a fault is not replaced again before its time', async () => {
  const group = new FakeGroup(DAY);
  await group.run(5000);
  group.fail(replicaId('r0'));
  await group.run(9_500);
  assert.ok(group.births.has(replicaId('r4')));
  assert.ok(!group.births.has(replicaId('r1')), 'the others are due');
});

test('P6: what is asked for is done at once, also without a schedule', async () => {
  const group = new FakeGroup(null);
  await group.run(100_000);
  assert.equal(group.rejuvenation.count, 0);
  const asked = group.rejuvenation.recover(group.now, 'r1');
  await setImmediate();
  await group.run(1000);
  const { replica, by, clean, seconds } = await asked;
  assert.deepEqual([replica, by, clean], ['r1', 'r2', 'r4']);
  const wholeAfter = (ROTATION_MS + START_MS) / 1000;
  assert.ok(Math.abs(seconds - wholeAfter) <= (2 * STEP_MS) / 1000, `${seconds} s, not ${wholeAfter}`);
  assert.equal(group.rejuvenation.count, 1);
});

test('P5: who cannot be replaced now is not, and it is said why', async () => {
  const group = new FakeGroup(null);
  await refused('replica-unknown', group.rejuvenation.recover(0, 'r9'));
  group.suspicion = true;
  await refused('group-not-whole', group.rejuvenation.recover(0, 'r1'));
  group.suspicion = false;
  const asked = group.rejuvenation.recover(0, 'r1');
  await setImmediate();
  await refused('rotation-under-way', group.rejuvenation.recover(0, 'r2'));
  await group.run(1000);
  assert.equal((await asked).replica, 'r1');
  await refused('replica-unknown', group.rejuvenation.recover(0, 'r1'));
});

test('P5: of two that are to be replaced at a time, one by the schedule and one that was asked for, one is', async () => {
  const group = new FakeGroup(DAY);
  const checked = Promise.withResolvers<void>();
  group.meanwhile = () => checked.promise;
  await group.run(10_010);
  group.meanwhile = () => {};
  const asked = group.rejuvenation.recover(group.now, 'r1');
  await setImmediate();
  checked.resolve();
  await group.run(2 * STEP_MS);
  assert.equal(group.rejuvenation.underWay, 'r1');
  await group.run(1000);
  assert.equal((await asked).replica, 'r1');
});

test('P6: who asked for a replacement is not told that none may start while the one that is to be replaced is still there', async () => {
  const group = new FakeGroup(null);
  const asked = group.rejuvenation.recover(0, 'r1');
  await setImmediate();
  group.rejuvenation.refused(new SpareError('image-changed', 'What.', { hint: 'Of another one.' }));
  await group.run(1000);
  assert.equal((await asked).replica, 'r1');
});

test('P6: nothing is replaced while no clean replica may be started, and it is tried again, twice a minute', async () => {
  const group = new FakeGroup(DAY);
  const refusal = new SpareError('image-changed', 'What.', { hint: 'Do.' });
  group.refusal = refusal;
  await group.run(69_000);
  assert.equal(group.rotated.length, 0);
  assert.equal(group.checks, 2, 'each check reads all of the image');
  await refused('image-changed', group.rejuvenation.recover(group.now, 'r1'));
  group.refusal = null;
  await group.run(60_000);
  assert.ok(group.rotated.length >= SIZE);
});

test('who asks for a replacement and is still waiting for the check of that when the group ends is told so', async () => {
  const group = new FakeGroup(null);
  const checked = Promise.withResolvers<void>();
  group.meanwhile = () => checked.promise;
  const asked = group.rejuvenation.recover(0, 'r1');
  group.rejuvenation.end();
  await refused('admin-failed', asked);
  checked.resolve();
  await setImmediate();
  assert.equal(group.rejuvenation.underWay, null);
});
