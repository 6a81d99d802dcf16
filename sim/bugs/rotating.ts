/** Planted in rotation: who votes on what, and when the one gives way to the other. */
import type { Bug } from './bug.ts';

export const ROTATING: readonly Bug[] = [
  {
    name: 'new-one-votes-on-all',
    what: 'who took over votes on entries from before it did',
    breaks: 'P5',
    scenario: 'rotation',
    edits: [
      {
        file: 'group.ts',
        find: 'if (this.#takeover === null || index > this.#takeover.at) return active;',
        replace: 'if (index > -2) return active;',
      },
    ],
  },
  {
    name: 'takes-over-too-early',
    what: 'who takes over executes before all that comes before is decided',
    breaks: 'P3',
    scenario: 'rotation',
    edits: [{ file: 'rotating.ts', find: 'if (order.decided < at - 1) return;', replace: '' }],
  },
  {
    name: 'old-one-goes-on',
    what: 'who was replaced executes what comes after, too',
    breaks: 'P3',
    scenario: 'rotation',
    edits: [
      {
        file: 'feeding.ts',
        find: 'return executable(slot) && (local.until === null || slot.index < local.until);',
        replace: 'return executable(slot);',
      },
      {
        file: 'rotating.ts',
        find: 'if (!together) for (const local of old) replicas.remove(local);',
        replace: '',
      },
    ],
  },
  {
    name: 'old-one-stays',
    what: 'who was replaced is not destroyed before the rotation is over, and nobody ends it',
    breaks: 'P5',
    scenario: 'rotation',
    edits: [
      {
        file: 'rotating.ts',
        find: 'if (!together) for (const local of old) replicas.remove(local);',
        replace: '',
      },
      { file: 'rotating.ts', find: 'if (own && ', replace: 'if (own === null && ' },
    ],
  },
  {
    name: 'rotation-outlives-a-suspicion',
    what: 'a suspicion does not end a rotation: who was replaced is still waited for',
    breaks: 'P5',
    scenario: 'mixed',
    edits: [
      {
        file: 'group.ts',
        find: '    this.#rotation = null;\n    this.#takeover = null;\n    this.#lost = false;',
        replace: '    this.#lost = false;',
      },
    ],
  },
  {
    name: 'votes-of-two-versions',
    what: 'votes of the old version count when the new one votes on what it left undecided',
    breaks: 'P1',
    scenario: 'deploy',
    edits: [
      {
        file: 'replicas.ts',
        find: 'this.#core.order.forgetVotes(local.id);\n    this.#core.emit',
        replace: 'this.#core.emit',
      },
    ],
  },
  {
    name: 'old-version-joins',
    what: 'who was to replace a replica of the old version joins the new one',
    breaks: 'P1',
    scenario: 'deploy',
    edits: [
      {
        file: 'replicas.ts',
        find: 'if (this.#core.group.get(local.id) === undefined) this.remove(local);',
        replace: ';',
      },
    ],
  },
  {
    name: 'stopped-group-takes-no-version',
    what: 'a new version waits for the end of a suspicion that those who are left cannot end',
    breaks: 'P5',
    scenario: 'deploy',
    edits: [
      {
        file: 'group.ts',
        find: '(this.#suspicion === null || this.helpless)',
        replace: 'this.#suspicion === null',
      },
    ],
  },
  {
    name: 'helpless-with-f+1-only',
    what: 'more than f+1 who are left count as able to end a suspicion, though fewer than 2f+1 may not agree',
    breaks: 'P5',
    scenario: 'deploy',
    edits: [
      {
        file: 'group.ts',
        find: 'this.#members.size < 2 * this.#quorum - 1',
        replace: 'this.#members.size <= this.#quorum',
      },
    ],
  },
  {
    name: 'rescue-of-some',
    what: 'of a version that takes over from a stopped group only f+1 vote on what was open',
    breaks: 'P5',
    scenario: 'deploy',
    edits: [
      {
        file: 'group.ts',
        find: 'woken: this.#suspect(at), left: old }',
        replace: 'left: old }',
      },
    ],
  },
];
