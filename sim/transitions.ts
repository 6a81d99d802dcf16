/**
 * What may follow on what: the states of a replica as its manager sees it, and who decides, each at each event. The compiler
 * keeps both tables total; `movements.ts` compares every step of every run with them, and counts which cells were reached.
 *
 * X1. What is not in a cell does not happen.
 * X2. What is in a cell happens, given enough seeds.
 */
import type { Mode } from '../src/core/agreement.ts';
import type { Command } from '../src/core/entry.ts';
import type { Phase } from '../src/core/local.ts';

/** `faulty`, in whatever phase: on its way out. `none`: its manager does not have it, yet or any more. */
export type ReplicaState = Phase | 'faulty' | 'none';

export type ReplicaEvent =
  /** Its manager starts it. */
  | 'start'
  /** It says something: the result of an entry, the digest of its state, its state as a whole. */
  | 'result'
  | 'digest'
  | 'export'
  /** Its domain ended, or its channel broke. */
  | 'down'
  /** A fault of it was noticed, of which it said nothing itself: it is late, or others say otherwise. */
  | 'blamed'
  /** It becomes a member, an active one, none any more, mostly by commands of the order; an entry is skipped. */
  | 'join'
  | 'wake'
  | 'leave'
  | 'skip'
  /** A rotation names it: as the one that is to go, or that is to take over; and the moment when it does, or a deploy does. */
  | 'rotate'
  | 'promote'
  /** Its manager took over a whole state of another one. */
  | 'state'
  /** Its manager decided an entry. */
  | 'decided'
  | 'clock'
  /** Any other event at its manager. */
  | 'other';

export type ModeEvent = Command['type'] | 'other';

/** `round`: a new round of reports begins. */
export type ModeChange = 'stay' | 'local' | 'ordered' | 'round';

type Cell<To extends string> = readonly (To | 'stay')[];

/** Cannot come in this state. */
const NEVER = [] as const;
const STAYS = ['stay'] as const;
const LEAVES = ['none'] as const;
const FAILS = ['faulty'] as const;
/** A member is faulty until its `expel` is ordered; any other is let go of at once. */
const FAILS_OR_GOES = ['faulty', 'none'] as const;

/** A replica that was replaced is let go of once all that it has to vote on is decided, or its successor is warm. */
const MAY_LEAVE = ['stay', 'none'] as const;

export const REPLICA: Readonly<Record<ReplicaState, Readonly<Record<ReplicaEvent, Cell<ReplicaState>>>>> = {
  none: {
    start: ['starting'],
    result: NEVER,
    digest: NEVER,
    export: NEVER,
    down: NEVER,
    blamed: NEVER,
    join: NEVER,
    wake: NEVER,
    leave: NEVER,
    skip: NEVER,
    rotate: NEVER,
    promote: NEVER,
    state: NEVER,
    decided: NEVER,
    clock: NEVER,
    other: NEVER,
  },
  starting: {
    start: NEVER,
    // The result of the start. Straight on where entry 0 is decided.
    result: ['started', 'joining', 'executing', 'faulty', 'none'],
    // Nobody asked.
    digest: FAILS_OR_GOES,
    export: FAILS_OR_GOES,
    down: FAILS_OR_GOES,
    blamed: FAILS_OR_GOES,
    join: NEVER,
    wake: STAYS,
    leave: LEAVES,
    skip: STAYS,
    rotate: STAYS,
    // A new version takes over from one that has not been of use yet.
    promote: STAYS,
    state: STAYS,
    decided: STAYS,
    clock: STAYS,
    other: STAYS,
  },
  started: {
    start: NEVER,
    // A second one.
    result: FAILS,
    digest: FAILS,
    export: FAILS,
    down: FAILS,
    blamed: FAILS,
    join: NEVER,
    wake: STAYS,
    leave: LEAVES,
    skip: STAYS,
    rotate: NEVER,
    promote: NEVER,
    // Entry 0 is decided with it: of one that is no member. The order decides entry 0, so a member's own vote would have
    // been what was missing.
    state: ['joining'],
    // Entry 0.
    decided: ['joining', 'executing'],
    clock: STAYS,
    other: STAYS,
  },
  joining: {
    start: NEVER,
    result: FAILS_OR_GOES,
    // It confirms the verified state: a member takes its place, another one asks to join. None: a second one.
    digest: ['suspended', 'executing', 'none', 'stay'],
    export: FAILS_OR_GOES,
    down: FAILS_OR_GOES,
    blamed: FAILS_OR_GOES,
    // Straight on where a mark is decided in the same step. None: the group is full.
    join: ['suspended', 'executing', 'refreshing', 'none'],
    wake: STAYS,
    leave: LEAVES,
    skip: STAYS,
    rotate: STAYS,
    promote: NEVER,
    state: STAYS,
    decided: STAYS,
    clock: STAYS,
    other: STAYS,
  },
  suspended: {
    start: NEVER,
    result: NEVER,
    digest: FAILS_OR_GOES,
    export: FAILS_OR_GOES,
    down: FAILS_OR_GOES,
    // Its export is in dispute: of a member.
    blamed: FAILS,
    join: NEVER,
    wake: ['executing'],
    leave: LEAVES,
    skip: ['executing', 'stay'],
    // Its turn to be refreshed comes in the same step.
    rotate: ['relieving', 'refreshing', 'stay', 'none'],
    promote: ['executing', 'stay'],
    // A mark is decided; and, below, its turn comes.
    state: ['refreshing', 'stay'],
    // It is to take over, and was not asleep when that was ordered; a new version takes over.
    decided: ['refreshing', 'relieving', 'executing', 'stay'],
    clock: ['refreshing', 'relieving', 'stay'],
    other: ['refreshing', 'relieving', 'executing', 'stay'],
  },
  refreshing: {
    start: NEVER,
    result: NEVER,
    // `stay`: its export is still to come, or it is its turn again for a later mark.
    digest: ['suspended', 'faulty', 'none', 'stay'],
    export: ['suspended', 'faulty', 'none', 'stay'],
    down: FAILS_OR_GOES,
    blamed: FAILS_OR_GOES,
    join: NEVER,
    wake: ['executing'],
    leave: LEAVES,
    skip: STAYS,
    rotate: ['stay', 'none'],
    promote: NEVER,
    state: STAYS,
    // The new version takes over; below, at once, because of a suspicion.
    decided: ['executing', 'stay'],
    clock: STAYS,
    other: ['executing', 'stay'],
  },
  relieving: {
    start: NEVER,
    result: NEVER,
    digest: ['faulty', 'stay'],
    export: FAILS,
    down: FAILS,
    blamed: FAILS,
    join: NEVER,
    wake: ['executing'],
    leave: LEAVES,
    skip: ['executing', 'stay'],
    rotate: STAYS,
    promote: ['executing', 'stay'],
    state: ['executing', 'stay'],
    decided: ['executing', 'stay'],
    clock: STAYS,
    other: ['executing', 'stay'],
  },
  executing: {
    start: NEVER,
    // Replaced, and all that it has to vote on is decided.
    result: ['faulty', 'none', 'stay'],
    // Asked of it before it was woken.
    digest: ['faulty', 'stay'],
    export: ['faulty', 'stay'],
    down: FAILS,
    blamed: FAILS_OR_GOES,
    join: NEVER,
    wake: NEVER,
    // Never back to `suspended` (G1).
    leave: LEAVES,
    skip: MAY_LEAVE,
    rotate: STAYS,
    promote: ['none', 'stay'],
    state: MAY_LEAVE,
    decided: MAY_LEAVE,
    clock: MAY_LEAVE,
    other: MAY_LEAVE,
  },
  faulty: {
    start: NEVER,
    result: STAYS,
    digest: STAYS,
    export: STAYS,
    down: STAYS,
    blamed: NEVER,
    join: NEVER,
    wake: STAYS,
    // Its `expel`, or what comes before it.
    leave: LEAVES,
    skip: STAYS,
    rotate: MAY_LEAVE,
    promote: ['none', 'stay'],
    state: STAYS,
    decided: MAY_LEAVE,
    clock: STAYS,
    other: MAY_LEAVE,
  },
};

/** Of several managers; where there is one only, it is `local` for ever. */
export const AGREEMENT: Readonly<Record<Mode, Readonly<Record<ModeEvent, Cell<ModeChange>>>>> = {
  local: {
    boot: ['round', 'stay'],
    dismiss: ['round', 'stay'],
    report: STAYS,
    decide: STAYS,
    join: STAYS,
    suspect: ['round'],
    // Of an active replica, or of a passive one.
    expel: ['round', 'stay'],
    settle: STAYS,
    skip: STAYS,
    rotate: STAYS,
    promote: STAYS,
    retire: STAYS,
    // Of one manager only.
    succeed: NEVER,
    other: STAYS,
  },
  reporting: {
    // Stays: it came too late.
    boot: ['round', 'stay'],
    dismiss: ['round', 'stay'],
    report: ['ordered', 'stay'],
    decide: STAYS,
    join: STAYS,
    suspect: STAYS,
    expel: STAYS,
    settle: STAYS,
    skip: STAYS,
    rotate: STAYS,
    promote: STAYS,
    retire: STAYS,
    // Of one manager only.
    succeed: NEVER,
    other: STAYS,
  },
  ordered: {
    // Local: the group was empty.
    boot: ['round', 'local', 'stay'],
    dismiss: ['round', 'stay'],
    report: STAYS,
    decide: STAYS,
    join: STAYS,
    suspect: STAYS,
    expel: STAYS,
    settle: ['local', 'stay'],
    skip: STAYS,
    rotate: STAYS,
    promote: STAYS,
    retire: STAYS,
    // Of one manager only.
    succeed: NEVER,
    other: STAYS,
  },
};

type Table = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

/** Each way through a table, as `state`, `event next`. */
export function ways(table: Table): [string, string[]][] {
  return Object.entries(table).map(([state, row]) => [
    state,
    Object.entries(row).flatMap(([event, cell]) => cell.map((next) => `${event} ${next}`)),
  ]);
}

/** As it stands in `docs/PROTOCOL.md`: a line for each event, a column for each state. */
export function markdown(table: Table): string {
  const states = Object.keys(table);
  const events = Object.keys(Object.values(table)[0] ?? {});
  const cell = (next: readonly string[] = []): string =>
    next.length === 0 ? '–' : next.map((to) => (to === 'stay' ? '·' : `**${to}**`)).join(' ');
  const line = (head: string, cells: readonly string[]): string => `| ${[head, ...cells].join(' | ')} |`;
  return [
    line('event', states),
    line(
      '---',
      states.map(() => '---'),
    ),
    ...events.map((event) =>
      line(
        event,
        states.map((state) => cell(table[state]?.[event])),
      ),
    ),
  ].join('\n');
}
