/** A fault in a sentence for a person, made while the bytes of the votes are still at hand. */
import type { Effect } from '../core/index.ts';
import { replyDifference, updateDifference } from '../evidence/difference.ts';
import type { Ballots } from './ballots.ts';

/** `why`: what is known of the end of the replica. */
export function whatHappened(
  { fault, votes }: Extract<Effect, { type: 'incident' }>,
  ballots: Ballots,
  why: string,
): string {
  const { kind, index } = fault;
  if (kind === 'late') return 'no answer within the deadline';
  if (kind === 'crash' || kind === 'protocol') return why;
  if (kind === 'state' || votes === null) return 'the digest of its state differs';
  const { cast, decided } = votes;
  if (kind === 'update') {
    const wrong = ballots.update(index, cast.update);
    const right = ballots.update(index, decided.update);
    return wrong === null || right === null ? 'its update differs' : updateDifference(wrong, right);
  }
  const wrong = ballots.reply(index, cast.reply);
  const right = ballots.reply(index, decided.reply);
  return wrong === null || right === null ? 'its reply differs' : replyDifference(wrong, right);
}
