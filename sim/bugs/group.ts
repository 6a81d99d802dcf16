/** Planted bugs of ordered state: the view of managers, reports, the group, and its suspicions. */
import type { Bug } from './bug.ts';

export const GROUP: readonly Bug[] = [
  // Reports.
  {
    name: 'reports-nothing',
    what: 'a manager does not say how far it had decided',
    breaks: 'C',
    scenario: 'mixed',
    edits: [
      {
        file: 'presence.ts',
        find: 'round, decided: order.decided }',
        replace: 'round, decided: toIndex(-1) }',
      },
    ],
  },
  {
    name: 'first-report-is-enough',
    what: 'the order decides before all managers have reported',
    breaks: 'C',
    scenario: 'mixed',
    edits: [
      {
        file: 'agreement.ts',
        find: 'if (reported === undefined) return;',
        replace: 'if (reported === undefined) continue;',
      },
    ],
  },
  {
    name: 'floor-is-the-lowest-report',
    what: 'the order decides what some manager had decided by itself',
    breaks: 'C',
    scenario: 'mixed',
    edits: [
      {
        file: 'agreement.ts',
        find: 'if (reported > floor) floor = reported;',
        replace: 'if (floor < 0 || reported < floor) floor = reported;',
      },
    ],
  },
  {
    name: 'view-changes-without-round',
    what: 'no new reports when the view changes in a suspicion (A1)',
    breaks: 'C',
    scenario: 'mixed',
    edits: [
      {
        file: 'membership.ts',
        find: 'else if (before === null || view)',
        replace: 'else if (before === null)',
      },
    ],
  },
  // Coming and going.
  {
    name: 'dismissed-goes-on',
    what: 'a manager that was taken for dead keeps its replicas and decides on',
    breaks: 'C',
    scenario: 'mixed',
    edits: [
      {
        file: 'presence.ts',
        find: 'this.#booted = false;\n    this.#core.replicas.removeAll();',
        replace: '',
      },
    ],
  },
  {
    name: 'later-life-dismissed',
    what: 'a dismissal ends a later life of the manager than the one it is about',
    breaks: 'C',
    scenario: 'late-commands',
    edits: [
      {
        file: 'membership.ts',
        find: 'managers.lives(command.by, command.byBoot) && managers.bootOf(command.manager) === command.boot',
        replace: 'managers.lives(command.by, command.byBoot)',
      },
    ],
  },
  {
    name: 'dismissed-by-the-dismissed',
    what: 'a manager out of the view dismisses others',
    breaks: 'C',
    scenario: 'late-commands',
    edits: [
      {
        file: 'membership.ts',
        find: 'managers.lives(command.by, command.byBoot) && managers.bootOf(command.manager) === command.boot',
        replace: 'managers.bootOf(command.manager) === command.boot',
      },
    ],
  },
  {
    name: 'dismissed-by-an-earlier-life',
    what: 'a manager that came back is believed whom it wanted to dismiss before (V2)',
    breaks: 'C',
    scenario: 'late-commands',
    edits: [
      {
        file: 'membership.ts',
        find: 'managers.lives(command.by, command.byBoot)',
        replace: 'managers.has(command.by)',
      },
    ],
  },
  {
    name: 'late-boot-counts',
    what: 'a boot counts whatever was decided since it was asked for (V3)',
    breaks: 'C',
    scenario: 'bad-links',
    edits: [
      {
        file: 'membership.ts',
        find: 'return this.#alone || managers.has(command.manager) || command.seen >= this.#milestone;',
        replace: 'return true;',
      },
    ],
  },
  {
    name: 'boots-in-doubt',
    what: 'a manager takes part again though the others may have decided otherwise than it (W2)',
    breaks: 'C',
    scenario: 'chance',
    edits: [
      {
        file: 'presence.ts',
        find: 'if (this.#away.doubtful !== null) return catchingUp.want(this.#away.doubtful);',
        replace: '',
      },
    ],
  },
  {
    name: 'newcomer-is-not-away',
    what: 'a manager that was never in the view takes all that it decided meanwhile for certain (W2)',
    breaks: 'P2',
    scenario: 'newcomer',
    edits: [
      {
        file: 'presence.ts',
        find: 'const away = decided < 0 || known;',
        replace: 'const away = decided >= 0 && known;',
      },
    ],
  },
  // Roles.
  {
    name: 'executed-becomes-passive',
    what: 'who is not needed after a suspicion is put back to sleep',
    breaks: 'P4',
    scenario: 'mixed',
    edits: [
      {
        file: 'group.ts',
        find: 'for (const member of left) this.#members.delete(member.replica);\n    assert(this.active()',
        replace:
          "for (const member of left) this.#members.set(member.replica, { ...member, role: 'passive' });\n    left.length = 0;\n    assert(this.active()",
      },
      {
        file: 'replicas.ts',
        find: 'if (this.#core.group.suspicion === null) for (const local of this.#locals.values()) local.woken = false;',
        replace: `if (this.#core.group.suspicion === null) for (const local of this.#locals.values()) {
      local.woken = false;
      if (local.phase === 'executing' && this.#core.group.get(local.id)?.role === 'passive') this.#suspend(local);
    }`,
      },
    ],
  },
  {
    name: 'joins-a-full-group',
    what: 'a group grows beyond 2f+2',
    breaks: 'C',
    scenario: 'mixed',
    edits: [
      {
        file: 'group.ts',
        find: 'if (this.#members.has(member.replica) || this.#full) return NOTHING;',
        replace: 'if (this.#members.has(member.replica)) return NOTHING;',
      },
    ],
  },
  {
    name: 'joins-asleep-in-suspicion',
    what: 'a replica that joins during a suspicion does not execute',
    breaks: 'P5',
    scenario: 'mixed',
    edits: [
      {
        file: 'group.ts',
        find: "role: this.#suspicion === null ? 'passive' : 'active' };",
        replace: "role: 'passive' };",
      },
    ],
  },
  {
    name: 'all-stay-active',
    what: 'more than f+1 replicas stay active after a suspicion',
    breaks: 'C',
    scenario: 'mixed',
    edits: [
      {
        file: 'group.ts',
        find: 'const left = this.active().filter((member) => !stay.has(member.replica));',
        replace: 'const left = this.active().filter((member) => stay.size === 0);',
      },
      {
        file: 'group.ts',
        find: "assert(this.active().length === this.#quorum, 'G3: f+1 active replicas after a suspicion');",
        replace: "assert(left.length >= 0, 'G3');",
      },
    ],
  },
  {
    name: 'expelled-not-filled',
    what: 'nobody wakes when an active replica is expelled',
    breaks: 'P5',
    scenario: 'mixed',
    edits: [
      {
        file: 'group.ts',
        find: 'woken: this.#fillActive(at), left: [member] };',
        replace: 'left: [member] };',
      },
    ],
  },
];
