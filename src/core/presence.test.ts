/** Does a manager that was taken for dead wait until it can go on with what it has itself? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Core } from './core.ts';
import type { Effect } from './effect.ts';
import type { Command, Entry } from './entry.ts';
import { index } from './ids.ts';
import { ME, oneOfThree, OTHERS } from './testing/three.ts';

test('P5 W3: a manager asks for its boot only when all before the last mark is on its own disk', () => {
  const core = oneOfThree();
  const [other] = OTHERS;
  const effects: Effect[] = [];
  const order = (entry: Entry): void => {
    effects.push(...core.step(0, { type: 'ordered', index: index(core.order.head + 1), entry }));
  };
  const command = (said: Command): void => order({ type: 'command', time: 0, command: said });
  const asked = (): boolean =>
    effects.some((effect) => effect.type === 'append-command' && effect.command.type === 'boot');

  const byBoot = core.managers.bootOf(other);
  const [boot] = core.step(0, { type: 'boot' });
  assert.ok(boot?.type === 'append-command');
  command(boot.command);
  const life = core.managers.bootOf(ME);
  order({ type: 'mark', time: 0 });
  const mark = core.order.head;
  command({ type: 'dismiss', manager: ME, boot: life, by: other, byBoot });
  assert.equal(core.managers.has(ME), false);
  const { round } = core.agreement;
  for (const manager of OTHERS) command({ type: 'report', manager, round, decided: index(-1) });
  effects.push(...core.step(0, { type: 'recorded', index: index(mark - 1) }));
  effects.push(...core.step(1, { type: 'clock' }));
  assert.equal(asked(), false, 'the mark is not recorded');
  effects.push(...core.step(2, { type: 'recorded', index: mark }));
  effects.push(...core.step(3, { type: 'clock' }));
  assert.equal(asked(), true);
});

/** Was dismissed, and has less than what the order was let go of. */
function behind(): Core {
  const before = oneOfThree();
  before.managers.dismiss(ME);
  const core = oneOfThree();
  const state = before.membership.state();
  const event = { type: 'recovered', keys: [], skips: [], tick: 0, time: 0, state } as const;
  core.step(0, { ...event, decided: index(45), first: index(86) });
  return core;
}

test('P5 W3: a manager asks for its boot only when the state that it took over is on its own disk', () => {
  const core = behind();
  assert.deepEqual(core.step(0, { type: 'boot' }), []);
  const taken = core.step(1, { type: 'state-fetched', index: index(85) });
  assert.deepEqual(taken, [{ type: 'take-state', index: index(85) }]);
  const asked = (now: number): boolean =>
    core
      .step(now, { type: 'clock' })
      .some((effect) => effect.type === 'append-command' && effect.command.type === 'boot');
  assert.equal(asked(2), false, 'a crash would bring back what was there before');
  core.step(3, { type: 'checkpointed', index: index(85) });
  assert.equal(asked(4), true);
});
