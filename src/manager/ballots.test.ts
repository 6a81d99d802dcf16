/** Are votes' bytes kept once, given back as they were, and bounded for each replica? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ballots } from './ballots.ts';

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
