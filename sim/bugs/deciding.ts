/** Planted bugs on the way from votes to answers: votes, skips, ordered decisions, keys, time. */
import type { Bug } from './bug.ts';

export const DECIDING: readonly Bug[] = [
  // Votes.
  {
    name: 'f-votes-enough',
    what: 'f equal votes decide',
    breaks: 'P1',
    scenario: 'mixed',
    edits: [
      {
        file: 'deciding.ts',
        find: 'agreed(this.countable(slot), quorum)',
        replace: 'agreed(this.countable(slot), quorum - 1)',
      },
    ],
  },
  {
    name: 'replica-counts-twice',
    what: 'a vote that is heard again counts again',
    breaks: 'P1',
    scenario: 'mixed',
    edits: [
      {
        file: 'deciding.ts',
        find: 'slot.votes.set(replica, vote);',
        replace:
          'slot.votes.set((slot.votes.has(replica) ? `${replica} again` : replica) as ReplicaId, vote);',
      },
      {
        file: 'deciding.ts',
        find: 'counting.set(replica, vote);',
        replace: `{
        counting.set(replica, vote);
        const name = \`\${replica} again\` as ReplicaId;
        const again = slot.votes.get(name);
        if (again !== undefined) counting.set(name, again);
      }`,
      },
    ],
  },
  {
    name: 'update-not-compared',
    what: 'votes are equal when their replies are',
    breaks: 'P1',
    scenario: 'mixed',
    edits: [
      {
        file: 'quorum.ts',
        find: 'a.reply === b.reply && a.update === b.update',
        replace: 'a.reply === b.reply',
      },
    ],
  },
  {
    name: 'wrong-state-votes',
    what: 'votes count whatever their replica gave before (D2)',
    breaks: 'P1',
    scenario: 'chance',
    edits: [
      {
        file: 'deciding.ts',
        find: 'if (slot.index === 0 || this.#right(replica, order.voted))',
        replace: 'if (order !== null)',
      },
    ],
  },
  {
    name: 'chosen-outlives-a-round',
    what: 'what a manager chose by itself stays chosen when a round begins (A1)',
    breaks: 'C',
    scenario: 'chance',
    edits: [
      {
        file: 'core.ts',
        find: 'this.order.unchoose();\n    this.remotes.unchoose();',
        replace: 'this.remotes.unchoose();',
      },
    ],
  },
  {
    name: 'report-of-an-earlier-round',
    what: 'a report that was asked for in an earlier round counts (A1)',
    breaks: 'C',
    scenario: 'late-commands',
    edits: [{ file: 'agreement.ts', find: ' || round !== this.#round', replace: '' }],
  },
  {
    name: 'no-new-turn',
    what: 'a replica that is put back to a verified state goes on in its old turn',
    breaks: 'C',
    scenario: 'nothing-agrees',
    edits: [{ file: 'feeding.ts', find: '    local.turn++;\n', replace: '' }],
  },
  {
    name: 'earlier-turn-counts',
    what: 'what was said of a replica before it was put back counts',
    breaks: 'C',
    scenario: 'bad-links',
    edits: [{ file: 'remotes.ts', find: "if (turn < remote.turn) return 'old turn';", replace: '' }],
  },
  {
    name: 'strangers-vote',
    what: 'votes of replicas that left the group count',
    breaks: 'C',
    scenario: 'bad-links',
    edits: [
      {
        file: 'deciding.ts',
        find: 'const voters = slot.index === 0 ? group.members() : group.voters(slot.index);',
        replace: 'const voters = [...slot.votes.keys()].map((replica) => ({ replica }));',
      },
    ],
  },
  {
    name: 'difference-not-named',
    what: 'who voted otherwise than was decided is not blamed',
    breaks: 'P6',
    scenario: 'mixed',
    edits: [
      {
        file: 'deciding.ts',
        find: 'if (sameVote(vote, decision)) return;',
        replace: "if (vote.reply !== decision.reply || slot.entry.type === 'request') return;",
      },
    ],
  },
  // Answers.
  {
    name: 'answer-before-durable',
    what: 'an answer does not wait for its entry to be durable',
    breaks: 'P2',
    scenario: 'mixed',
    edits: [{ file: 'deciding.ts', find: 'Math.min(known, this.#durable)', replace: 'known' }],
  },
  {
    name: 'answer-known-to-one',
    what: 'an answer does not wait until f+1 managers decided its entry (D3)',
    breaks: 'P2',
    scenario: 'mixed',
    edits: [
      {
        file: 'peers.ts',
        find: 'const needed = Math.min(quorum, managers.size) - 1;',
        replace: 'const needed = quorum * 0;',
      },
    ],
  },
  {
    name: 'answer-before-skip-durable',
    what: 'an answer does not wait for the skip that its result rests on to be durable',
    breaks: 'P2',
    scenario: 'poison',
    edits: [{ file: 'deciding.ts', find: 'this.#durable < this.#restsOn ? -1 : ', replace: '' }],
  },
  // Skips.
  {
    name: 'skip-comes-second',
    what: 'a skip takes effect on an entry that the order decided before',
    breaks: 'C',
    scenario: 'chance',
    edits: [
      {
        file: 'agreement.ts',
        find: 'if (index === 0 || !this.open(index)) return false;',
        replace: 'if (index === 0) return false;',
      },
    ],
  },
  {
    name: 'no-restore-after-skip',
    what: 'who executed a skipped entry keeps its effect',
    breaks: 'P3',
    scenario: 'mixed',
    edits: [{ file: 'core.ts', find: 'this.feeding.restore(now, index, reason);', replace: '' }],
  },
  {
    name: 'votes-outlive-skip',
    what: 'votes that were on their way when a skip voided them count',
    breaks: 'P1',
    scenario: 'nothing-agrees',
    edits: [{ file: 'deciding.ts', find: ' || slot.epoch !== epoch', replace: '' }],
  },
  {
    name: 'skip-too-early',
    what: 'an entry is skipped as soon as f+1 votes do not agree',
    breaks: 'P5',
    scenario: 'mixed',
    edits: [
      {
        file: 'suspicion.ts',
        find: 'votes.size > 2 * core.options.faults',
        replace: 'votes.size > core.options.faults',
      },
    ],
  },
  {
    name: 'one-crash-is-poison',
    what: 'an entry is skipped when f replicas went down with it',
    breaks: 'P5',
    scenario: 'silence',
    edits: [
      {
        file: 'poison.ts',
        find: 'crashes > core.options.faults',
        replace: 'crashes >= core.options.faults',
      },
    ],
  },
  {
    name: 'poison-is-not-skipped',
    what: 'an entry that kills every replica is tried for ever',
    breaks: 'P5',
    scenario: 'poison',
    edits: [{ file: 'core.ts', find: 'slot.crashes++;', replace: 'slot.crashes += 0;' }],
  },
  // Ordered decisions.
  {
    name: 'decides-alone-in-suspicion',
    what: 'a manager decides by itself though more than f+1 replicas execute',
    breaks: 'C',
    scenario: 'mixed',
    edits: [
      {
        file: 'deciding.ts',
        find: "alone || (mode === 'local' && slot.index > floor && slot.index > 0)",
        replace: 'alone || mode !== null || floor < 0',
      },
    ],
  },
  {
    name: 'chain-of-decisions-not-broken',
    what: 'an ordered decision holds though one before it was decided otherwise',
    breaks: 'P1',
    scenario: 'chance',
    edits: [
      {
        file: 'agreement.ts',
        find: 'if (known === null || !sameVote(known, vote)) break;',
        replace: '',
      },
    ],
  },
  {
    name: 'decision-outlives-its-floor',
    what: 'an ordered decision stays though what it rests on is open again (A2)',
    breaks: 'C',
    scenario: 'chance',
    edits: [
      {
        file: 'agreement.ts',
        find: 'ordered.vote !== null && ordered.floor > floor',
        replace: 'ordered.vote !== null && ordered.floor > 1e9',
      },
    ],
  },
  // Keys and time.
  {
    name: 'used-key-executes',
    what: 'a request with a used key is executed again',
    breaks: 'P2',
    scenario: 'mixed',
    edits: [
      {
        file: 'slot.ts',
        find: "slot.use === null || slot.use.type === 'first'",
        replace: "slot.use === null || slot.use.type !== 'reused'",
      },
    ],
  },
  {
    name: 'fingerprint-not-compared',
    what: 'another request with a used key gets the reply of the first',
    breaks: 'P2',
    scenario: 'mixed',
    edits: [
      {
        file: 'keys.ts',
        find: "if (known.fingerprint !== key.fingerprint) return { type: 'reused' };",
        replace: '',
      },
    ],
  },
  {
    name: 'time-goes-back',
    what: 'an entry has the time of the manager that ordered it, be it behind the one before',
    breaks: 'P3',
    scenario: 'mixed',
    edits: [
      {
        file: 'order.ts',
        find: 'this.#time = Math.max(this.#time, entry.time);',
        replace: 'this.#time = entry.time;',
      },
    ],
  },
  {
    name: 'tick-is-not-the-last',
    what: 'a tick does not know the agreed time of the one before',
    breaks: 'P3',
    scenario: 'mixed',
    edits: [
      {
        file: 'order.ts',
        find: "if (entry.type === 'tick') this.#tick = this.#time;",
        replace: "if (entry.type === 'tick') this.#tick = entry.time;",
      },
    ],
  },
  {
    name: 'retry-of-skipped-was-executed',
    what: 'who asked again before the skip is told the reply of what had no effect',
    breaks: 'P2',
    scenario: 'chance',
    edits: [
      {
        file: 'order.ts',
        find: 'slot.use = { ...slot.use, skipped: reason };',
        replace: 'continue;',
      },
    ],
  },
];
