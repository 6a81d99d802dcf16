/**
 * Decisions by the order (`agreement.ts`): a manager that sees f+1 equal votes proposes what they say, for as many entries
 * one after another as the same replicas agree on.
 *
 * One proposal of a manager is on its way at a time; what gathers meanwhile goes into the next one.
 */
import type { Core } from './core.ts';
import type { Vote } from './event.ts';
import type { Index, ReplicaId } from './ids.ts';
import { agreed, sameVote } from './quorum.ts';
import { executable } from './slot.ts';

const TOGETHER_MAX = 64;

export function proposeDecisions(core: Core): void {
  if (core.said.deciding) return;
  const votes = decidable(core);
  if (votes.length === 0) return;
  core.said.deciding = true;
  core.propose({ type: 'decide', round: core.agreement.round, votes });
}

function decidable(core: Core): { index: Index; vote: Vote }[] {
  const found: { index: Index; vote: Vote }[] = [];
  let voters: ReadonlyMap<ReplicaId, Vote> | null = null;
  for (const slot of core.order.after(core.order.chosen)) {
    if (found.length === TOGETHER_MAX) break;
    if (!executable(slot)) continue;
    if (!core.agreement.open(slot.index)) break;
    voters ??= core.deciding.countable(slot);
    const before: ReadonlyMap<ReplicaId, Vote> = voters;
    const cast = new Map([...slot.votes].filter(([replica]) => before.has(replica)));
    const vote = agreed(cast, core.quorum);
    if (vote === null) break;
    found.push({ index: slot.index, vote });
    voters = new Map([...cast].filter(([, other]) => sameVote(other, vote)));
    if (slot.index === 0) break;
  }
  return found;
}
