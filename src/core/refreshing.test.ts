/** Is anything let go of that some manager may still need? */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Effect } from './effect.ts';
import { index, type ManagerId } from './ids.ts';
import { Refreshing } from './refreshing.ts';
import { ME, oneOfThree, OTHERS } from './testing/three.ts';

const step = fc.oneof(
  fc.record({ type: fc.constant('mark' as const), after: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ type: fc.constant('decided' as const), more: fc.nat(6) }),
  fc.record({ type: fc.constant('recorded' as const), less: fc.nat(4) }),
  fc.record({ type: fc.constant('peer' as const), which: fc.nat(1), less: fc.nat(4) }),
  fc.record({ type: fc.constant('dismiss' as const), which: fc.nat(1) }),
);

void test('P2 T3: the order is let go of up to a mark that all of the view have recorded, and never twice', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const real = oneOfThree();
      const effects: Extract<Effect, { type: 'truncate-order' }>[] = [];
      real.emit = (effect): void => {
        if (effect.type === 'truncate-order') effects.push(effect);
      };
      const refreshing = new Refreshing(real);
      const marks = new Map<number, number>();
      const said = new Map<ManagerId, number>(OTHERS.map((manager) => [manager, -1]));
      let [recorded, through] = [-1, -1];
      for (const one of steps) {
        if (one.type === 'mark') {
          let slot = null;
          for (let i = 0; i < one.after; i++) {
            slot = real.order.append(
              index(real.order.head + 1),
              { type: 'mark', time: 7 * real.order.head },
              0,
            );
          }
          if (slot === null) continue;
          marks.set(slot.index, slot.time);
          refreshing.marked(slot);
        } else if (one.type === 'decided') {
          for (let i = 0; i < one.more; i++) {
            const { next } = real.order;
            if (next === undefined) break;
            real.order.choose(next);
            real.order.decide(next);
          }
        } else if (one.type === 'recorded') {
          recorded = Math.max(recorded, real.order.decided - one.less);
          refreshing.recorded(index(recorded));
        } else if (one.type === 'dismiss') {
          const manager = OTHERS[one.which];
          if (manager !== undefined) real.managers.dismiss(manager);
        } else {
          const manager = OTHERS[one.which];
          if (manager === undefined || !real.managers.has(manager)) continue;
          const mark = index(Math.max(said.get(manager) ?? -1, real.order.head - one.less));
          said.set(manager, mark);
          for (const [id, peer] of real.peers.view()) if (id === manager) peer.mark = mark;
          refreshing.truncate();
        }
        for (const effect of effects.splice(0)) {
          assert.ok(effect.through > through, 'further each time');
          through = effect.through;
          assert.equal(marks.get(through), effect.time, 'up to a mark, with the time at it');
          assert.ok(through <= recorded && through <= real.order.decided);
          for (const manager of real.managers.ids()) {
            if (manager !== ME) assert.ok(through <= (said.get(manager) ?? -1), `${manager} still needs it`);
          }
        }
      }
    }),
  );
});
