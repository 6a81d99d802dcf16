/** Planted bugs between managers: what they say to each other, and how who is behind catches up. */
import type { Bug } from './bug.ts';

export const PEERS: readonly Bug[] = [
  {
    name: 'message-not-held',
    what: 'a message is taken before the order has come as far as its sender had seen',
    breaks: 'C',
    scenario: 'chance',
    edits: [
      {
        file: 'peers.ts',
        find: 'if (message.at <= this.#core.order.head) return',
        replace: 'if (message.at < 1e9) return',
      },
    ],
  },
  {
    name: 'doubt-is-answered',
    what: 'clients are told what a manager had decided before it took over the state of the others',
    breaks: 'P2',
    scenario: 'chance',
    edits: [{ file: 'catching-up.ts', find: 'if (replaces) order.doubt(deciding.answered);', replace: '' }],
  },
  {
    name: 'held-messages-unbounded',
    what: 'messages that wait for the order are kept without a limit',
    breaks: 'P7',
    scenario: 'partition',
    edits: [
      {
        file: 'peers.ts',
        find: 'if (this.#held.length > HELD_MAX * this.#others.length) this.#held.shift();',
        replace: '',
      },
    ],
  },
  {
    name: 'earlier-life-counts',
    what: 'what a manager said before it crashed counts after it (V2)',
    breaks: 'P2',
    scenario: 'amnesia',
    edits: [
      {
        file: 'peers.ts',
        find: 'const present = boot >= 0 && boot === message.boot;',
        replace: 'const present = boot >= 0;',
      },
    ],
  },
  {
    name: 'progress-outlives-a-life',
    what: 'how far a manager was is remembered beyond its crash',
    breaks: 'P2',
    scenario: 'amnesia',
    edits: [
      {
        file: 'peers.ts',
        find: 'if (peer?.boot !== boot) {',
        replace: 'if (peer === undefined) {',
      },
    ],
  },
  {
    name: 'nobody-asks',
    what: 'a lost message is not asked for again',
    breaks: 'P5',
    scenario: 'mixed',
    edits: [
      {
        file: 'catching-up.ts',
        find: 'core.peers.ask(toIndex(core.order.decided + 1));',
        replace: '',
      },
    ],
  },
  {
    name: 'fetches-once',
    what: 'bytes whose fetching was lost are not fetched again (H1)',
    breaks: 'P5',
    scenario: 'mixed',
    edits: [
      {
        file: 'catching-up.ts',
        find: 'if (slot.fetch !== null && now - slot.fetch.at < FETCH_AGAIN_MS) continue;',
        replace: 'if (slot.fetch !== null) continue;',
      },
    ],
  },
  {
    name: 'too-old-not-said',
    what: 'who asks for what is let go of is not told so',
    breaks: 'P5',
    scenario: 'mixed',
    edits: [
      {
        file: 'peers.ts',
        find: 'if (from <= core.deciding.forgotten && from <= decided)',
        replace: 'if (from < 0 && decided < 0)',
      },
    ],
  },
  {
    name: 'executes-on-after-jump',
    what: 'replicas go on from their old state when a whole state was fetched',
    breaks: 'P3',
    scenario: 'mixed',
    edits: [{ file: 'replicas.ts', find: 'local.stale = true;', replace: '' }],
  },
];
