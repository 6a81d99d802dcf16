/**
 * Test support: a service as a pure function, so that every test knows what a correct replica answers.
 *
 * Its state is a running hash of what it executed, with the agreed clock in it: one entry too many, too few, twice, in
 * another order or at another time gives another state, and an update laid on the wrong state is noticed at once.
 */
import { digest, type Digest } from '../ids.ts';

/**
 * `read` changes nothing; `poison` kills whoever executes it, `flood` makes it send too much, `hang` stops it; `random`
 * differs on each replica, `split` has two results only.
 */
export type Kind =
  | 'write'
  | 'read'
  | 'poison'
  | 'flood'
  | 'hang'
  | 'random'
  | 'split'
  | 'start'
  | 'tick'
  | 'mark'
  | 'command';

/** One entry as a replica gets it. */
export interface Job {
  readonly index: number;
  readonly kind: Kind;
  readonly time: number;
  readonly tickFrom: number;
}

export interface Update {
  readonly from: string;
  readonly to: string;
}

export interface Result {
  readonly reply: Digest;
  readonly update: Update | null;
  readonly state: string;
}

export const UPDATE_BYTES = 100;

/** 64 bits of FNV-1a: enough for tests. */
export function hash(text: string): string {
  let low = 0x811c9dc5;
  let high = 0x01234567;
  for (let i = 0; i < text.length; i++) {
    low = Math.imul(low ^ text.charCodeAt(i), 0x01000193);
    high = Math.imul(high ^ text.charCodeAt(i), 0x01000197);
  }
  return (low >>> 0).toString(36) + (high >>> 0).toString(36);
}

export function updateDigest(update: Update | null): Digest {
  return digest(update === null ? '' : hash(`${update.from}>${update.to}`));
}

/** `salt` is what the result depends on though it should not. */
export function execute(state: string, { index, kind, time, tickFrom }: Job, salt: string): Result {
  const changed = hash(`${state} ${kind} ${index} ${time} ${tickFrom} ${salt}`);
  switch (kind) {
    case 'mark':
      return { reply: digest(hash(state)), update: null, state };
    case 'read':
      return { reply: digest(changed), update: null, state };
    case 'start':
    case 'tick':
      return { reply: digest(''), update: { from: state, to: changed }, state: changed };
    case 'write':
    case 'poison':
    case 'flood':
    case 'hang':
    case 'random':
    case 'split':
    case 'command':
      return { reply: digest(hash(changed)), update: { from: state, to: changed }, state: changed };
  }
}
