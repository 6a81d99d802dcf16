/**
 * What a core owes its shell, beyond right decisions: to ask for nothing twice, to let go of nothing too early or too late,
 * and to skip only what is hopeless.
 */
import type { Core } from '../src/core/core.ts';
import type { Effect } from '../src/core/effect.ts';
import type { Command } from '../src/core/entry.ts';
import type { Event } from '../src/core/event.ts';
import { index as toIndex, type ManagerId } from '../src/core/ids.ts';
import { sameVote } from '../src/core/quorum.ts';
import type { Kind } from '../src/core/testing/service.ts';
import type { Host } from './host.ts';
import type { Simulation } from './simulation.ts';
import { promise } from './violation.ts';

/** Messages of one other manager that may wait for the order. */
const HELD_MAX = 64;

/** What a service may be skipped for. */
const HOPELESS: ReadonlySet<Kind> = new Set(['poison', 'flood', 'hang', 'random', 'split']);

type Of<T extends Effect['type']> = Extract<Effect, { type: T }>;

export class Duties {
  readonly #sim: Simulation;
  readonly #host: Host;
  /** Commands that were asked for and are not ordered yet. */
  readonly #asked = new Set<string>();
  #released = -1;
  #chosen = -1;
  /** The view as it was left by the last command: each manager's life. */
  #lives = new Map<ManagerId, number>();

  constructor(sim: Simulation, host: Host) {
    this.#sim = sim;
    this.#host = host;
  }

  told(core: Core, event: Event): void {
    if (event.type === 'ordered' && event.entry.type === 'command') {
      this.#asked.delete(JSON.stringify(event.entry.command));
      this.#dismissed(core, event.entry.command);
    }
    if (event.type === 'ordered' || event.type === 'recovered') {
      for (const { id } of this.#sim.hosts) this.#lives.set(id, core.managers.bootOf(id));
    }
    const most = HELD_MAX * (this.#sim.hosts.length - 1);
    promise(core.peers.held <= most, 'P7', () => `${this.#host.id} holds ${core.peers.held} messages`);
    if (event.type === 'peer') {
      const early = event.message.at > core.order.head;
      promise(!early || core.peers.held > 0, 'C', () => `${this.#host.id} hears what it cannot know yet`);
    }
    if (event.type === 'recovered') this.#chosen = core.order.chosen;
    this.#chose(core);
  }

  /** What nobody told it, and the order did not decide, it chooses by the votes of f+1 that are members now. */
  #chose({ order, group, options }: Core): void {
    for (let at = Math.min(this.#chosen, order.chosen) + 1; at <= order.chosen; at++) {
      const { decision, ordered, told, votes } = order.slot(toIndex(at)) ?? {};
      if (decision === undefined || decision === null || ordered !== null || told !== null) continue;
      const equal = [...(votes ?? [])].filter(
        ([replica, vote]) => group.get(replica) !== undefined && sameVote(vote, decision),
      );
      promise(
        equal.length > options.faults,
        'P1',
        () => `${this.#host.id} chooses ${at} by ${equal.length} members`,
      );
    }
    this.#chosen = order.chosen;
  }

  /** Only who takes part ends another's life, and only the one that it means. */
  #dismissed({ managers, alone }: Core, command: Command): void {
    if (command.type !== 'dismiss' || alone) return;
    const { manager, boot, by, byBoot } = command;
    const before = this.#lives.get(manager) ?? -1;
    const fits = byBoot >= 0 && this.#lives.get(by) === byBoot && before === boot;
    promise(
      fits || managers.bootOf(manager) === before,
      'C',
      () => `${by} dismissed ${manager} of ${boot}, which is in its life of ${before}`,
    );
  }

  asked({ command }: Of<'append-command'>): void {
    const text = JSON.stringify(command);
    promise(!this.#asked.has(text), 'P7', () => `${this.#host.id} asks again for ${text}`);
    this.#asked.add(text);
  }

  answered({ index, outcome }: Of<'answer'>): void {
    if (outcome.type !== 'skipped') return;
    const { durable, lines } = this.#sim.order;
    const { keys } = this.#sim.checks.decisions;
    const of = keys.use(index)?.first ?? index;
    const kept = lines.some(({ entry }, at) => {
      const skips = entry.type === 'command' && entry.command.type === 'skip';
      return at <= durable && skips && entry.command.index === of;
    });
    promise(kept, 'P2', () => `${index} is answered, and its skip is not durable`);
    const kind = this.#sim.checks.decisions.kind(of);
    promise(HOPELESS.has(kind), 'P5', () => `a ${kind} at ${index} is skipped: ${outcome.reason}`);
  }

  released({ index }: Of<'release'>): void {
    this.#released = index;
  }

  /** A sound replica gave a result. */
  voted(replica: string, index: number): void {
    promise(
      index === 0 || index > this.#released,
      'P6',
      () => `${replica} votes for ${index}, which is let go of`,
    );
  }

  /** The order is about to be truncated: every manager of the view must have what it led to on its disk. */
  truncatesOrder(core: Core, { through }: Of<'truncate-order'>): void {
    if (this.#sim.order.embedded) return;
    for (const { id, store } of this.#sim.hosts) {
      promise(
        !core.managers.has(id) || store.durablyDecided >= through,
        'P2',
        () => `the order is truncated up to ${through}, and ${id} has ${store.durablyDecided} on its disk`,
      );
    }
  }

  truncatesUpdates({ through }: Of<'truncate-updates'>): void {
    promise(
      through <= this.#host.store.durableCheckpoint,
      'P2',
      () => `updates up to ${through} are deleted, and no checkpoint is durable`,
    );
  }
}
