/** One place in which what a replica said differs from what it is compared with. */
import { printable } from '../../wire/channel.ts';

export interface Difference {
  /** For a person: `status`, `header etag`, `body $.article.slug`, `table users, row 7, column name`. */
  readonly where: string;
  /** As JSON, or as text; shortened, so that where they differ is in it. */
  readonly is: string;
  readonly instead: string;
}

/** What differs between the replies, or between the changes of the state, of these replicas and the reference. */
export interface Comparison {
  readonly of: 'reply' | 'update';
  readonly replicas: readonly string[];
  /** `the decided one`, or the replicas that gave what it is compared with. */
  readonly against: string;
  readonly differences: readonly Difference[];
  /** There are more than are listed. */
  readonly more: boolean;
  /** Of a change of the state: why tables and rows have no names; null: they have. */
  readonly unnamed: string | null;
}

/** In the incident's folder: a list of `Comparison`s. */
export const COMPARISON_FILE = 'comparison.json';
/** The same while more may be found. */
export const FOUND_FILE = 'comparison.part';

/** What stands for what is not there: a header, a field, a row. */
export const NOTHING = 'nothing';

/** Differences listed of one comparison. */
export const LISTED_MAX = 50;
const SHOWN = 160;
/** What is shown of that before the place where two differ, when that is far in. */
const LEAD = 40;

export function shortened(text: string): string {
  const shown = printable(text.slice(0, SHOWN));
  return text.length > SHOWN ? `${shown}…` : shown;
}

/** Of two that are not equal. */
export function shortenedBoth(is: string, instead: string): Pick<Difference, 'is' | 'instead'> {
  const at = firstDifferent(is, instead);
  const from = at < SHOWN / 2 ? 0 : at - LEAD;
  const excerpt = (text: string): string => `${from > 0 ? '…' : ''}${shortened(text.slice(from))}`;
  return { is: excerpt(is), instead: excerpt(instead) };
}

/** Where one ends, if they do not differ before that. */
export function firstDifferent(is: ArrayLike<unknown>, instead: ArrayLike<unknown>): number {
  let at = 0;
  while (at < is.length && at < instead.length && is[at] === instead[at]) at++;
  return at;
}

export function bytesDifference(where: string, is: Buffer, instead: Buffer): Difference {
  const at = firstDifferent(is, instead);
  const bytes = (all: Buffer): string => all.subarray(at, at + 16).toString('hex') || NOTHING;
  return { where: `${where} byte ${at}`, is: bytes(is), instead: bytes(instead) };
}
