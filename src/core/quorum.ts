/**
 * Votes for one entry, and the arithmetic of f+1.
 *
 * Q1. A replica has one vote for an entry: a second one is not counted.
 * Q2. A decision has f+1 equal votes of different replicas; equal means reply and update alike.
 */
import type { Vote } from './event.ts';
import type { ReplicaId } from './ids.ts';

export type Votes = ReadonlyMap<ReplicaId, Vote>;

export function sameVote(a: Vote, b: Vote): boolean {
  return a.reply === b.reply && a.update === b.update;
}

/** The vote that at least `quorum` replicas gave, or null. */
export function agreed(votes: Votes, quorum: number): Vote | null {
  if (votes.size < quorum) return null;
  for (const candidate of votes.values()) {
    let equal = 0;
    for (const vote of votes.values()) if (sameVote(vote, candidate)) equal++;
    if (equal >= quorum) return candidate;
  }
  return null;
}

/** Whether two votes differ. */
export function conflicting(votes: Votes): boolean {
  let first: Vote | null = null;
  for (const vote of votes.values()) {
    first ??= vote;
    if (!sameVote(vote, first)) return true;
  }
  return false;
}
