/** What a checker finds: a promise of `docs/PROMISES.md` is broken. */

export type Promised = 'P1' | 'P2' | 'P3' | 'P4' | 'P5' | 'P6' | 'P7' | 'C' | 'X';

export class Violation extends Error {
  readonly promise: Promised;

  constructor(promise: Promised, what: string) {
    super(`${promise}: ${what}`);
    this.promise = promise;
  }
}

export function promise(holds: boolean, id: Promised, what: () => string): asserts holds {
  if (!holds) throw new Violation(id, what());
}
