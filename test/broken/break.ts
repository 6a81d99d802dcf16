/** A promise broken on purpose, as data: a small wrong edit of the product, and the test that must fail with it. */
import type { Edit } from '../../sim/bugs/edit.ts';

export interface Break extends Edit {
  readonly promise: 'P1' | 'P2' | 'P3' | 'P4' | 'P5' | 'P6' | 'P7';
  /** A test file that the promise names. */
  readonly test: string;
  /** Part of the name of the tests there that are run; all of them if it is left out. */
  readonly name?: string;
  /** What is wrong with the edit. */
  readonly what: string;
  readonly file: string;
}
