/**
 * What becomes of a request that cannot be decided: nobody agrees on it, it kills or stops whoever executes it? It has
 * no effect, its client is told, and the service goes on from the right state; nothing else is skipped.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { index as toIndex } from './ids.ts';
import {
  active,
  EACH,
  effects,
  named,
  passive,
  recovers,
  refreshEvery,
  requests,
  settled,
  whole,
} from './testing/scenario.ts';
import type { World } from './testing/world.ts';

/** Targets of all skips, and why. */
function skips(world: World): string[] {
  const commands = effects(world, 'append-command').map(({ command }) => command);
  return commands.flatMap((command) =>
    command.type === 'skip' ? [`${command.index} ${command.reason}`] : [],
  );
}

/** Not that of an earlier entry. */
const OWN_REPLY = /^reply (?!of )/;
/** Takes 25 s to get anywhere. */
const LARGE = 100 * 1024 ** 2;
const KEY = { key: 'k', fingerprint: 'same' };

/** Until the order begins after this entry. */
function cutOff(world: World, index: number): void {
  settled(world);
  for (let i = 0; i < 50 && world.disk.first <= index; i++) {
    requests(world, 4);
    settled(world);
    world.run(50);
  }
  assert.ok(world.disk.first > index);
}

for (const faults of EACH) {
  const f = `f = ${faults}`;

  void test(`P5: ${f}, no agreement: skipped and told, all that executed are restored, nobody is blamed`, () => {
    const world = whole(faults);
    requests(world, 3);
    const odd = world.request('random');
    requests(world, 10);
    recovers(world);
    assert.equal(odd.outcome, 'skipped no-agreement');
    assert.deepEqual(skips(world), [`${odd.index} no-agreement`]);
    assert.deepEqual(named(world), []);
  });

  void test(`P5: ${f}, one request after another that nobody agrees on: each is skipped, what is between is not`, () => {
    const world = whole(faults);
    const odd = [0, 1, 2].map(() => {
      requests(world, 2);
      return world.request('random');
    });
    recovers(world);
    assert.deepEqual(
      skips(world),
      odd.map(({ index }) => `${index} no-agreement`),
    );
  });

  void test(`P6: ${f}, who went back to a large state more slowly than others has its time for each request after that`, () => {
    const world = whole(faults, { core: { stateBytes: LARGE }, behaviour: () => ({ workMs: 10 }) });
    active(world).behaviour.stateMs = 4000;
    world.request('random');
    requests(world, 10);
    recovers(world);
    assert.deepEqual(named(world), []);
  });

  void test(`P2 P5: ${f}, poison: skipped after f+1 crashes, nothing else is, and it is never executed again`, () => {
    const world = whole(faults);
    requests(world, 3);
    const poison = world.request('poison');
    requests(world, 10);
    recovers(world);
    assert.equal(poison.outcome, 'skipped poison');
    assert.deepEqual(skips(world), [`${poison.index} poison`]);
    assert.deepEqual(
      effects(world, 'skipped').map(({ index, reason }) => [index, reason]),
      [[poison.index, 'poison']],
      'P6: the shell is told, once',
    );
    assert.equal(world.incidents.length, faults + 1, 'no more of them than it takes to know');
    assert.ok(world.incidents.every(({ kind, index }) => kind === 'crash' && index === poison.index));
    world.kill();
    recovers(world);
    assert.ok(effects(world, 'execute').every(({ index }) => index !== poison.index));
    assert.deepEqual(skips(world), []);
  });

  void test(`P5: ${f}, poison that has waited behind others for long ends no more than f+1 either`, () => {
    const deadline = { floorMs: 100, ceilingMs: 200, factor: 20 };
    const world = whole(faults, { core: { deadline } });
    for (const [place, { behaviour }] of world.role('active').entries())
      behaviour.workMs = place === 0 ? 50 : 60;
    requests(world, 8);
    const poison = world.request('poison');
    requests(world, 8);
    settled(world);
    assert.equal(poison.outcome, 'skipped poison');
    assert.equal(world.incidents.filter(({ kind }) => kind === 'crash').length, faults + 1);
  });

  void test(`P2: ${f}, poison that killed f+1 before everything was killed is skipped without another victim`, () => {
    let appendMs = 50;
    const world = whole(faults, { appendMs: () => appendMs });
    const poison = world.request('poison');
    world.until('the skip is on its way', () => skips(world).length > 0);
    appendMs = 0;
    world.incidents.length = 0;
    world.kill();
    recovers(world);
    assert.deepEqual(skips(world), [`${poison.index} poison`]);
    assert.deepEqual(named(world), []);
  });

  void test(`P5: ${f}, poison behind an entry that cannot be agreed on: both are skipped, the group lives on`, () => {
    const world = whole(faults, { behaviour: (id) => ({ workMs: 1 + (Number(id.slice(1)) % 5) * 9 }) });
    const odd = world.request('random');
    requests(world, 2);
    const poison = world.request('poison');
    requests(world, 5);
    recovers(world);
    assert.deepEqual([odd.outcome, poison.outcome], ['skipped no-agreement', 'skipped poison']);
    assert.equal(skips(world).length, 2);
  });

  void test(`P5: ${f}, a request that stops everyone is skipped in time, and only that one`, () => {
    const world = whole(faults);
    requests(world, 3);
    const hang = world.request('hang');
    requests(world, 10);
    recovers(world);
    assert.equal(hang.outcome, 'skipped timeout');
    assert.deepEqual(skips(world), [`${hang.index} timeout`]);
    assert.ok(world.incidents.every(({ kind, index }) => kind === 'late' && index === hang.index));
    assert.equal(world.incidents.length, faults + 1, 'the suspended ones never got it');
  });

  void test(`P5: ${f}, after a request that stopped everyone the group is back as soon as clean ones are up`, () => {
    const world = whole(faults);
    const before = world.now;
    world.request('hang');
    requests(world, 5);
    settled(world);
    assert.ok(world.now - before < 2000 + 500, `${world.now - before} ms`);
  });

  void test(`P5: ${f}, a request that makes everyone break the rules is poison, too`, () => {
    const world = whole(faults);
    const flood = world.request('flood');
    requests(world, 5);
    recovers(world);
    assert.equal(flood.outcome, 'skipped poison');
    assert.ok(world.incidents.every(({ kind }) => kind === 'protocol'));
  });

  for (const more of [0, 1]) {
    void test(`P5: ${f}, f${more === 0 ? '' : '+1'} crashes at the same entry are ${more === 0 ? 'no ' : ''}poison`, () => {
      const world = whole(faults, { behaviour: () => ({ workMs: 40 }) });
      const [ticket, next] = [world.request(), world.request()];
      world.run(20);
      for (let i = 0; i < faults + more; i++) world.crash(active(world).id);
      settled(world);
      assert.equal(ticket.outcome?.split(' ')[0], more === 0 ? 'reply' : 'skipped');
      assert.ok(next.outcome?.startsWith('reply '));
    });
  }

  void test(`P5: ${f}, who is held back until an entry proves harmless has executed nothing, and is given no state anew`, () => {
    const world = whole(faults, { behaviour: () => ({ workMs: 40 }) });
    world.request();
    world.run(20);
    world.trace = [];
    world.crash(active(world).id);
    world.until('the others have answered it', () => world.answered);
    const woken = effects(world, 'resume').map(({ replica }) => replica);
    assert.ok(woken.length > 0);
    assert.deepEqual(
      effects(world, 'import').filter(({ replica }) => woken.includes(replica)),
      [],
    );
    settled(world);
    assert.equal(world.incidents.length, 1);
  });

  void test(`P5: ${f}, a crash in what a restore made void is blamed on no entry`, () => {
    const world = whole(faults, { behaviour: () => ({ workMs: 40 }) });
    const odd = world.request('random');
    requests(world, 4);
    world.until('it is skipped', () => skips(world).length > 0);
    for (const replica of world.role('active').slice(0, faults + 1)) world.crash(replica.id);
    recovers(world);
    assert.deepEqual(skips(world), [`${odd.index} no-agreement`]);
  });

  void test(`P5: ${f}, 2f+1 that do not agree are enough: nobody waits for one that does not wake`, () => {
    const world = whole(faults);
    passive(world).behaviour.hung = true;
    const odd = world.request('random');
    world.run(100);
    assert.equal(odd.outcome, 'skipped no-agreement');
    recovers(world);
  });

  void test(`P2 P5: ${f}, an entry that is skipped twice is skipped once, for the first reason`, () => {
    const world = whole(faults);
    for (const replica of world.role('active')) replica.behaviour.workMs = 100;
    world.request();
    const second = world.request();
    world.trace = [];
    for (const reason of ['poison', 'timeout'] as const) {
      world.command({ type: 'skip', index: toIndex(second.index), reason });
    }
    assert.equal(effects(world, 'import').length, faults + 1, 'restored once');
    settled(world);
    assert.equal(second.outcome, 'skipped poison');
  });

  void test(`P7: ${f}, a mark that was skipped is asked for again`, () => {
    const world = whole(faults, { core: refreshEvery(8) });
    requests(world, 12);
    world.until('a mark is ordered', () => effects(world, 'append-mark').length > 0);
    for (const replica of world.role('active')) replica.behaviour.hung = true;
    recovers(world);
    assert.ok(skips(world).some((skip) => skip.endsWith('timeout')));
    requests(world, 12);
    world.run(100);
    assert.ok(effects(world, 'append-mark').length >= 2);
    recovers(world);
  });

  void test(`P5: ${f}, a request that stops everyone behind one that cannot be agreed on: nothing else is skipped`, () => {
    const world = whole(faults);
    const odd = world.request('random');
    requests(world, 3);
    const hang = world.request('hang');
    requests(world, 5);
    recovers(world);
    assert.deepEqual(skips(world).sort(), [`${odd.index} no-agreement`, `${hang.index} timeout`].sort());
  });

  void test(`P5: ${f}, a long request is not skipped while f replicas hang: each gets the whole time`, () => {
    const world = whole(faults, { behaviour: () => ({ workMs: 1500 }) });
    for (let i = 0; i < faults; i++) active(world, i).behaviour.hung = true;
    requests(world, 2);
    settled(world);
    assert.deepEqual(skips(world), []);
    assert.equal(world.incidents.length, faults);
  });

  void test(`P2: ${f}, a service that starts slower than a request may take loses nothing of what was acknowledged`, () => {
    const world = whole(faults, { core: { startTimeoutMs: 9000 } });
    requests(world, 5);
    world.sync();
    world.diskStuck = true;
    world.until('answered', () => world.answered);
    world.kill();
    world.diskStuck = false;
    for (const replica of world.replicas.values()) replica.behaviour.startMs = 5000;
    settled(world);
    const executed = new Set(effects(world, 'execute').map(({ index }) => Number(index)));
    assert.ok(
      world.tickets.every(({ index }) => executed.has(index)),
      'they were not recorded',
    );
    assert.deepEqual(skips(world), []);
    assert.deepEqual(named(world), []);
  });

  void test(`P2 K1: ${f}, a retry of what was skipped without effect is executed, one that came before the skip is told of it`, () => {
    for (const [kind, reason] of [
      ['hang', 'timeout'],
      ['random', 'no-agreement'],
    ] as const) {
      const world = whole(faults, { core: refreshEvery(4) });
      const first = world.request(kind, KEY);
      const before = world.request('write', KEY);
      recovers(world);
      assert.deepEqual([first.outcome, before.outcome], [`skipped ${reason}`, `skipped ${reason}`]);
      const after = world.request('write', KEY);
      const again = world.request('write', KEY);
      settled(world);
      assert.match(after.outcome ?? '', OWN_REPLY);
      assert.equal(again.outcome, `reply of ${after.index}`);
      cutOff(world, again.index);
      world.kill();
      const last = world.request('write', KEY);
      recovers(world);
      assert.equal(last.outcome, `reply of ${after.index}`);
    }
  });

  void test(`P2 K1: ${f}, what was skipped is known after a kill, and after the order was cut`, () => {
    for (const cut of [false, true]) {
      const world = whole(faults, { core: refreshEvery(4) });
      const first = world.request('hang', KEY);
      if (cut) cutOff(world, first.index);
      else settled(world);
      // With what was decided, or without.
      world.sync();
      world.kill();
      settled(world);
      const retry = world.request('write', KEY);
      world.sync();
      world.diskStuck = true;
      world.until('answered', () => world.answered);
      assert.match(retry.outcome ?? '', OWN_REPLY);
      world.kill();
      world.diskStuck = false;
      recovers(world);
      assert.ok(
        effects(world, 'execute').some(({ index }) => index === retry.index),
        'it was not recorded',
      );
    }
  });

  void test(`P2 K1: ${f}, poison is not executed again for its key, and a retry is told what it was, also after a kill`, () => {
    const world = whole(faults, { core: refreshEvery(4) });
    const poison = world.request('poison', KEY);
    const retries = [world.request('poison', KEY)];
    recovers(world);
    retries.push(world.request('poison', KEY));
    settled(world);
    world.sync();
    world.kill();
    retries.push(world.request('poison', KEY));
    cutOff(world, poison.index);
    world.kill();
    retries.push(world.request('poison', KEY));
    recovers(world);
    assert.deepEqual(
      retries.map(({ outcome }) => outcome),
      retries.map(() => 'skipped poison'),
    );
    assert.equal(world.incidents.length, faults + 1);
  });

  void test(`P2 P3: ${f}, what rests on a skip is answered only when the skip is durable, too`, () => {
    const world = whole(faults);
    const odd = world.request('random');
    const after = world.request('write');
    world.sync();
    world.diskStuck = true;
    world.run(500);
    assert.ok(world.core.order.decided >= after.index, 'both are decided');
    assert.deepEqual([odd.outcome, after.outcome], [null, null]);
    world.diskStuck = false;
    recovers(world);
    assert.equal(odd.outcome, 'skipped no-agreement');
  });
}
