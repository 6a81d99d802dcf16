/** Leaves out one fault of a failing run after another, as long as it still fails in the same way. */
import { type Case, planFor, run } from './run.ts';

export function shrink(which: Case, promise: string): Case {
  let smallest = which;
  const all = planFor({ ...which, without: [] }).schedule.length;
  for (let changed = true; changed;) {
    changed = false;
    for (let place = 0; place < all; place++) {
      if (smallest.without.includes(place)) continue;
      const smaller = { ...smallest, without: [...smallest.without, place].sort((a, b) => a - b) };
      if (run(smaller).failure?.promise !== promise) continue;
      smallest = smaller;
      changed = true;
    }
  }
  return smallest;
}
