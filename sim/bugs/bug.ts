/** A planted bug, as data: small edits of the core that break a promise. */
import type { Promised } from '../violation.ts';
import type { ScenarioName } from '../scenarios.ts';
import type { Edit } from './edit.ts';

export interface CoreEdit extends Edit {
  /** In `src/core`. */
  readonly file: string;
}

export interface Bug {
  readonly name: string;
  /** What is wrong, in a few words. */
  readonly what: string;
  /** The promise that it breaks; a checker of another one may notice it first. */
  readonly breaks: Promised;
  /** Where it shows. */
  readonly scenario: ScenarioName;
  readonly edits: readonly [CoreEdit, ...CoreEdit[]];
}
