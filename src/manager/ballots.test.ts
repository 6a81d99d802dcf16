/** Are votes' bytes kept once, given back as they were, and bounded for each replica? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesInBuffers } from '../testing.ts';
import { Ballots, digestOf } from './ballots.ts';

const reply = Buffer.from('a reply');
const update = Buffer.from('an update');

test('P1: equal bytes have equal digests, different ones differ, nothing has a digest of its own', () => {
  const ballots = new Ballots(1000, () => {});
  const first = ballots.cast('r0', 1, reply, update);
  assert.deepEqual(ballots.cast('r1', 1, Buffer.from(reply), Buffer.from(update)), first);
  const other = ballots.cast('r2', 1, Buffer.from('a lying'), update);
  assert.notEqual(other.reply, first.reply);
  assert.equal(other.update, first.update);
  assert.notEqual(ballots.cast('r3', 1, reply, Buffer.alloc(0)).update, first.update);
});

test('P1: the bytes behind a digest are those that were cast, until the entry is released', () => {
  const ballots = new Ballots(1000, () => {});
  const vote = ballots.cast('r0', 1, reply, update);
  assert.deepEqual(ballots.reply(1, vote.reply), reply);
  assert.deepEqual(ballots.update(1, vote.update), update);
  assert.equal(ballots.reply(2, vote.reply), null);
  ballots.release(1);
  assert.equal(ballots.reply(1, vote.reply), null);
});

test('P6: who cast what is known until the entry is released; of one that votes again, the last', () => {
  const ballots = new Ballots(1000, () => {});
  const first = ballots.cast('r0', 1, reply, update);
  ballots.cast('r1', 1, Buffer.from('a lie'), update);
  const again = ballots.cast('r1', 1, reply, update);
  assert.deepEqual(
    ballots.votes(1).map(({ replica, vote }) => ({ replica, vote })),
    [
      { replica: 'r0', vote: first },
      { replica: 'r1', vote: again },
    ],
  );
  ballots.release(1);
  assert.deepEqual(ballots.votes(1), []);
});

test('P7: a replica that has too much kept is not heard; what others sent, and what is released, does not count', () => {
  const told: [string, boolean][] = [];
  const ballots = new Ballots(100, (replica, full) => told.push([replica, full]));
  const big = Buffer.alloc(60, 1);
  ballots.cast('r0', 1, big, update);
  ballots.cast('r1', 1, big, update);
  ballots.cast('r1', 2, big, update);
  assert.deepEqual(told, [], 'equal bytes are kept once');
  ballots.cast('r0', 3, big, update);
  ballots.cast('r0', 4, big, update);
  assert.deepEqual(told, [['r0', true]]);
  ballots.release(1);
  assert.equal(told.length, 1, 'it has too much still');
  ballots.release(3);
  assert.deepEqual(told, [
    ['r0', true],
    ['r0', false],
  ]);
});

test('P5 P7: what is answered counts for nobody, and is kept until its release as far as there is room for it', () => {
  const told: [string, boolean][] = [];
  const ballots = new Ballots(100, (replica, full) => told.push([replica, full]));
  const cast = [1, 2, 3].map((index) => ballots.cast('r0', index, Buffer.alloc(60, index), update));
  const kept = (): boolean[] => cast.map(({ reply: of }, at) => ballots.reply(at + 1, of) !== null);
  assert.deepEqual(told, [['r0', true]]);
  ballots.answered(1);
  assert.equal(told.length, 1, 'two are undecided still');
  ballots.answered(3);
  assert.deepEqual(told, [
    ['r0', true],
    ['r0', false],
  ]);
  assert.deepEqual(kept(), [true, false, false]);
  ballots.release(1);
  ballots.cast('r0', 4, Buffer.alloc(60, 4), update);
  ballots.answered(4);
  assert.notEqual(ballots.votes(2).length, 0, 'who voted what is known still');
  assert.notEqual(
    ballots.reply(4, ballots.cast('r0', 4, Buffer.alloc(60, 4), update).reply),
    null,
    'room again',
  );
});

test('P7: of an answered entry all is kept or nothing: a small reply lies in the frame of a large update', () => {
  const MIB = 1024 ** 2;
  const ballots = new Ballots(20 * MIB, () => {});
  const before = bytesInBuffers();
  for (let index = 1; index <= 16; index++) {
    const frame = Buffer.alloc(8 * MIB, index);
    ballots.cast('r0', index, frame.subarray(0, 10), frame.subarray(10));
    ballots.answered(index);
  }
  const held = bytesInBuffers() - before;
  // Two, and the last one may be in a register still.
  assert.ok(held > 15 * MIB && held < 30 * MIB, `${held / MIB} MiB are held`);
});

test('P5: what is to be answered is kept whatever is kept of what was', () => {
  const ballots = new Ballots(100, () => {});
  ballots.cast('r0', 1, Buffer.alloc(100, 1), Buffer.alloc(0));
  ballots.answered(1);
  const { reply: of } = ballots.cast('r0', 2, Buffer.alloc(60, 2), Buffer.alloc(0));
  ballots.cast('r0', 3, Buffer.alloc(20, 3), Buffer.alloc(0));
  assert.deepEqual(ballots.reply(2, of), Buffer.alloc(60, 2));
});

test('P6 P7: a late vote is told from the answer also where the bytes are gone; what it brings is kept until the next one', () => {
  const told: [string, boolean][] = [];
  const ballots = new Ballots(100, (replica, full) => told.push([replica, full]));
  const [big, lie] = [Buffer.alloc(101, 1), Buffer.alloc(101, 2)];
  const right = [1, 2, 3].map((index) => ballots.cast('r0', index, big, update));
  ballots.answered(3);
  assert.equal(ballots.reply(1, right[0]?.reply ?? digestOf(lie)), null);
  assert.deepEqual(ballots.cast('r1', 1, big, update), right[0]);
  assert.equal(ballots.reply(1, digestOf(big)), null, 'nobody asks for it any more');
  ballots.cast('r1', 2, lie, update);
  assert.deepEqual(ballots.reply(2, digestOf(lie)), lie, 'it can be shown');
  ballots.cast('r1', 3, lie, update);
  assert.equal(ballots.reply(2, digestOf(lie)), null);
  assert.deepEqual(ballots.reply(3, digestOf(lie)), lie);
  assert.deepEqual(told.slice(2), [], 'it is heard');
  for (const index of [1, 2, 3]) ballots.release(index);
  assert.deepEqual(ballots.votes(3), []);
});
