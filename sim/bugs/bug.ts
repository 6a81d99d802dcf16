/** A planted bug, as data: small edits of the core that break a promise. */
import type { Promised } from '../violation.ts';
import type { ScenarioName } from '../scenarios.ts';

export interface Edit {
  /** In `src/core`. */
  readonly file: string;
  /** Is found there exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Bug {
  readonly name: string;
  /** What is wrong, in a few words. */
  readonly what: string;
  /** The promise that it breaks; a checker of another one may notice it first. */
  readonly breaks: Promised;
  /** Where it shows. */
  readonly scenario: ScenarioName;
  readonly edits: readonly [Edit, ...Edit[]];
}
