/** Planted bugs that show after a restart. */
import type { Bug } from './bug.ts';

export const RESTART: readonly Bug[] = [
  {
    name: 'keys-lost-at-restart',
    what: 'keys from before the truncated order are forgotten',
    breaks: 'P2',
    scenario: 'mixed',
    edits: [
      {
        file: 'core.ts',
        find: 'this.#keyUsed(this.order.remember(key, index), index);',
        replace: 'if (index < 0) this.#keyUsed(this.order.remember(key, index), index);',
      },
    ],
  },
  {
    name: 'skips-lost-at-restart',
    what: 'the key of what was skipped and is decided is not free again',
    breaks: 'P2',
    scenario: 'chance',
    edits: [
      {
        file: 'core.ts',
        find: 'if (holds || this.#skips.has(index))',
        replace: 'if (holds)',
      },
    ],
  },
  {
    name: 'time-lost-at-restart',
    what: 'agreed time begins anew after a restart',
    breaks: 'P3',
    scenario: 'restart-all',
    edits: [{ file: 'order.ts', find: '    this.#time = time;\n', replace: '' }],
  },
  {
    name: 'tick-lost-at-restart',
    what: 'the last tick before the truncated order is forgotten',
    breaks: 'P3',
    scenario: 'mixed',
    edits: [{ file: 'order.ts', find: '    this.#tick = tick;\n', replace: '' }],
  },
  {
    name: 'time-of-the-head-kept',
    what: 'a truncated order begins with the time of the present, not of the mark',
    breaks: 'C',
    scenario: 'mixed',
    edits: [
      {
        file: 'refreshing.ts',
        find: "core.emit({ type: 'truncate-order', through: index, time, tick, state });",
        replace:
          "core.emit({ type: 'truncate-order', through: index, time: Math.max(time, this.#core.order.time), tick, state });",
      },
    ],
  },
  {
    name: 'state-of-the-head-kept',
    what: 'a truncated order begins with the ordered state of the present, not of the mark',
    breaks: 'C',
    scenario: 'mixed',
    edits: [
      {
        file: 'refreshing.ts',
        find: "core.emit({ type: 'truncate-order', through: index, time, tick, state });",
        replace:
          "core.emit({ type: 'truncate-order', through: index, time, tick, state: state === null ? state : membership.state() });",
      },
    ],
  },
  {
    name: 'state-not-restored',
    what: 'ordered state from before the truncated order is forgotten',
    breaks: 'C',
    scenario: 'mixed',
    edits: [
      {
        file: 'core.ts',
        find: 'if (event.state !== null) this.membership.restore(event.state);',
        replace: '',
      },
    ],
  },
  {
    name: 'replica-ids-used-again',
    what: 'replicas are named as those of an earlier life',
    breaks: 'P6',
    scenario: 'mixed',
    edits: [
      {
        file: 'replicas.ts',
        find: 'this.#nextNumber = core.options.firstReplica;',
        replace: 'this.#nextNumber = core.options.firstReplica % 1000;',
      },
    ],
  },
];
