/** Planted bugs in the care for replicas: feeding, refresh, checkpoints, deadlines, replacement. */
import type { Bug } from './bug.ts';

export const REPLICAS: readonly Bug[] = [
  // Refresh and checkpoint.
  {
    name: 'update-left-out',
    what: 'the first update after a refresh is left out',
    breaks: 'P4',
    scenario: 'mixed',
    edits: [
      {
        file: 'feeding.ts',
        find: 'const from = toIndex(local.applied + 1);',
        replace: 'const from = toIndex(Math.min(local.applied + 2, through));',
      },
    ],
  },
  {
    name: 'refreshed-past-the-mark',
    what: 'a passive replica gets all updates there are, and is compared at the mark',
    breaks: 'P6',
    scenario: 'mixed',
    edits: [
      {
        file: 'replicas.ts',
        find: 'this.#core.feeding.catchUp(local, round.mark);',
        replace: 'this.#core.feeding.catchUp(local, this.#core.order.decided);',
      },
    ],
  },
  {
    name: 'digest-not-compared',
    what: 'a passive replica with a wrong state stays',
    breaks: 'P6',
    scenario: 'lie',
    edits: [
      {
        file: 'refreshing.ts',
        find: 'if (owed.expected !== null && owed.expected !== digest)',
        replace: 'if (owed.expected !== null && owed.expected.length === 0)',
      },
    ],
  },
  {
    name: 'checkpoint-of-f',
    what: 'f equal exports are a checkpoint',
    breaks: 'P4',
    scenario: 'lie',
    edits: [
      {
        file: 'refresh.ts',
        find: 'if (count < quorum) continue;',
        replace: 'if (count < quorum - 1) continue;',
      },
    ],
  },
  {
    name: 'updates-truncated-early',
    what: 'updates are deleted before the checkpoint that takes their place is durable (E4)',
    breaks: 'P2',
    scenario: 'mixed',
    edits: [
      {
        file: 'refreshing.ts',
        find: "core.emit({ type: 'checkpoint', index: ended.mark, digest: ended.checkpoint });",
        replace:
          "core.emit({ type: 'checkpoint', index: ended.mark, digest: ended.checkpoint });\n      core.emit({ type: 'truncate-updates', through: ended.mark });",
      },
    ],
  },
  {
    name: 'order-truncated-early',
    what: 'the order is truncated before what it led to is recorded durably (T3)',
    breaks: 'P2',
    scenario: 'amnesia',
    edits: [
      {
        file: 'refreshing.ts',
        find: 'if (this.#core.alone) this.recorded(index);',
        replace: 'this.recorded(index);',
      },
    ],
  },
  {
    name: 'order-truncated-alone',
    what: 'the order is truncated without regard to managers that are behind',
    breaks: 'P5',
    scenario: 'mixed',
    edits: [{ file: 'peers.ts', find: 'if (peer.mark < least) least = peer.mark;', replace: '' }],
  },
  {
    name: 'trimmed-too-far',
    what: 'updates that a passive replica still needs are let go of',
    breaks: 'P4',
    scenario: 'mixed',
    edits: [
      {
        file: 'refreshing.ts',
        find: 'this.#trimmed = appliedByAll(core);',
        replace: 'this.#trimmed = core.order.decided;',
      },
    ],
  },
  {
    name: 'no-marks',
    what: 'after its first mark the order gets no other, and is never truncated',
    breaks: 'P7',
    scenario: 'fault-free',
    edits: [
      {
        file: 'refresh.ts',
        find: 'begin(mark: Index, digest: Digest): void {\n    this.#wanted = false;',
        replace: 'begin(mark: Index, digest: Digest): void {',
      },
    ],
  },
  // Large states.
  {
    name: 'no-time-for-a-state',
    what: 'a start is late as if its state were small',
    breaks: 'P5',
    scenario: 'large-state',
    edits: [
      {
        file: 'suspicion.ts',
        find: 'startTimeoutMs + core.refreshing.transferMs',
        replace: 'startTimeoutMs',
      },
    ],
  },
  {
    name: 'waits-count-as-late',
    what: 'who has done all that it was asked for is late when others take long',
    breaks: 'P6',
    scenario: 'mixed',
    edits: [
      {
        file: 'suspicion.ts',
        find: 'if (local.owed.length === 0) continue;',
        replace: '',
      },
    ],
  },
  {
    name: 'no-time-to-go-back',
    what: 'who goes back to a large state after a skip is waited for as if it executed',
    breaks: 'P5',
    scenario: 'large-state',
    edits: [
      {
        file: 'feeding.ts',
        find: 'local.filling = true;',
        replace: '',
      },
    ],
  },
  {
    name: 'founder-filled-twice',
    what: 'who is the last to start is filled with the state that it has',
    breaks: 'P5',
    scenario: 'large-state',
    edits: [
      {
        file: 'replicas.ts',
        find: 'if (this.#agrees(vote) && refreshing.trimmed < 0)',
        replace: 'if (false)',
      },
    ],
  },
  {
    name: 'disk-time-counted',
    what: 'who exports is late while its export waits for the disk',
    breaks: 'P6',
    scenario: 'fault-free',
    edits: [{ file: 'local.ts', find: 'local.since += pausedMs;', replace: '' }],
  },
  // Feeding.
  {
    name: 'wakes-from-the-mark',
    what: 'a passive replica that wakes executes without the updates since its last refresh',
    breaks: 'P3',
    scenario: 'mixed',
    edits: [
      {
        file: 'feeding.ts',
        find: 'this.catchUp(local, this.#core.order.decided);\n    this.#feedFrom',
        replace: 'if (!local.woken) this.catchUp(local, this.#core.order.decided);\n    this.#feedFrom',
      },
    ],
  },
  {
    name: 'passive-is-fed',
    what: 'a passive replica that is being refreshed executes, too',
    breaks: 'P4',
    scenario: 'mixed',
    edits: [
      {
        file: 'feeding.ts',
        find: "local.phase === 'executing' && local.held === null && executes(local, slot)",
        replace:
          "(local.phase === 'executing' || local.phase === 'refreshing') && local.held === null && executes(local, slot)",
      },
    ],
  },
  {
    name: 'feeds-the-skipped',
    what: 'who wakes executes skipped entries',
    breaks: 'P3',
    scenario: 'mixed',
    edits: [
      {
        file: 'feeding.ts',
        find: 'if (!executes(local, slot)) continue;',
        replace: 'if (!executes(local, slot) && slot.skipped === null) continue;',
      },
    ],
  },
  {
    name: 'late-starter-keeps-its-start',
    what: 'a replica that disagreed on the start, or came after it, keeps its own state',
    breaks: 'P4',
    scenario: 'mixed',
    edits: [
      {
        file: 'replicas.ts',
        find: 'this.#core.feeding.import(local, this.#core.order.decided);\n    this.#join(now, local);',
        replace: 'local.applied = this.#core.order.decided;\n    this.#join(now, local);',
      },
    ],
  },
  // Deadlines.
  {
    name: 'never-late',
    what: 'a missing vote raises no suspicion',
    breaks: 'P5',
    scenario: 'silence',
    edits: [
      {
        file: 'suspicion.ts',
        find: 'if (slot.votes.size === 0) return false;',
        replace: 'if (slot.votes.size >= 0) return false;',
      },
    ],
  },
  {
    name: 'late-at-once',
    what: 'the deadline has no floor',
    breaks: 'P5',
    scenario: 'fault-free',
    edits: [
      {
        file: 'deadline.ts',
        find: 'Math.min(ceilingMs, Math.max(floorMs, factor * high))',
        replace: 'Math.min(ceilingMs, floorMs / factor, factor * high)',
      },
    ],
  },
  {
    name: 'hang-is-not-skipped',
    what: 'an entry that nobody answers is waited for, for ever',
    breaks: 'P5',
    scenario: 'poison',
    edits: [
      {
        file: 'suspicion.ts',
        find: 'if (count < core.quorum) continue;',
        replace: 'if (count <= 2 * core.quorum) continue;',
      },
    ],
  },
  // Suspicion and replacement.
  {
    name: 'never-settles',
    what: 'a suspicion is over only when all active replicas are ready',
    breaks: 'P5',
    scenario: 'mixed',
    edits: [
      {
        file: 'settling.ts',
        find: 'if (stay.length < core.quorum) return;',
        replace: 'if (ready.size <= 2 * core.options.faults) return;',
      },
    ],
  },
  {
    name: 'stays-at-its-export',
    what: 'who is still at an export when it is woken may be one of those that stay (U4)',
    breaks: 'P5',
    scenario: 'slow-refresh',
    edits: [
      {
        file: 'settling.ts',
        find: "if (local.owed[0] !== undefined && local.owed[0].type !== 'result') continue;",
        replace: '',
      },
    ],
  },
  {
    name: 'dawdler-stays',
    what: 'who has kept others waiting for too long stays once it answers (U6)',
    breaks: 'P6',
    scenario: 'slow',
    edits: [
      {
        file: 'settling.ts',
        find: 'if (!isTooSlow(local) || !othersSuffice(core)) stay.push(replica);',
        replace: 'stay.push(replica);',
      },
    ],
  },
  {
    name: 'starts-are-waited-for',
    what: 'nobody answers in place of an active replica that does not come up (U7)',
    breaks: 'P5',
    scenario: 'slow-start',
    edits: [{ file: 'suspicion.ts', find: 'watchStarts(core, now);', replace: '' }],
  },
  {
    name: 'not-replaced',
    what: 'the last missing replica is not replaced',
    breaks: 'P6',
    scenario: 'mixed',
    edits: [
      {
        file: 'replicas.ts',
        find: 'for (; present < wanted; present++) {',
        replace: 'for (; present < wanted - 1; present++) {',
      },
    ],
  },
  {
    name: 'faulty-stays',
    what: 'a fault is written up, and its replica stays',
    breaks: 'P6',
    scenario: 'lie',
    edits: [
      {
        file: 'core.ts',
        find: "else this.propose({ type: 'expel', replica: local.id, kind, index: blamed });",
        replace:
          "else if (kind !== 'state') this.propose({ type: 'expel', replica: local.id, kind, index: blamed });",
      },
    ],
  },
  {
    name: 'asks-for-commands-again',
    what: 'a command is asked for at every stroke of the clock until it is ordered',
    breaks: 'P7',
    scenario: 'mixed',
    edits: [{ file: 'core.ts', find: 'if (this.#proposed.has(text)) return;', replace: '' }],
  },
  {
    name: 'never-released',
    what: 'entries are never let go of',
    breaks: 'P7',
    scenario: 'mixed',
    edits: [
      {
        file: 'deciding.ts',
        find: 'this.#core.order.release(toIndex(through))',
        replace: 'this.#core.order.release(toIndex(Math.min(through, 50)))',
      },
    ],
  },
  {
    name: 'released-while-owed',
    what: 'an entry is let go of though a replica still works on it (E5)',
    breaks: 'P6',
    scenario: 'mixed',
    edits: [
      {
        file: 'deciding.ts',
        find: 'owed === null ? this.#answered : owed - 1);',
        replace: 'owed === null ? this.#answered : this.#answered);',
      },
    ],
  },
];
