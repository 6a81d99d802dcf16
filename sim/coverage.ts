/**
 * What a run reached: every event, effect, command, message, outcome, fault, and transition of the protocol's tables,
 * counted.
 */
import type { Effect, Outcome } from '../src/core/effect.ts';
import type { Command, Entry, SkipReason } from '../src/core/entry.ts';
import type { Event } from '../src/core/event.ts';
import type { FaultKind } from '../src/core/fault.ts';
import type { Part } from '../src/core/message.ts';
import { BREACHES, type Fault, FAILURES, LIES, SELDOM } from './faults.ts';
import type { Host } from './host.ts';
import type { Observed } from './simulation.ts';
import { isEvent } from './transcript.ts';
import { AGREEMENT, REPLICA, ways } from './transitions.ts';

/** All there is to reach; the compiler keeps each list whole. */
const EVENTS: Record<Event['type'], true> = {
  recovered: true,
  ordered: true,
  durable: true,
  recorded: true,
  vote: true,
  digest: true,
  exported: true,
  paused: true,
  checkpointed: true,
  down: true,
  peer: true,
  'peer-down': true,
  startable: true,
  rotate: true,
  deploy: true,
  fetched: true,
  'state-fetched': true,
  boot: true,
  clock: true,
};
/** But for what no run may reach. */
const EFFECTS: Record<Exclude<Effect['type'], 'halt'>, true> = {
  'append-command': true,
  'append-mark': true,
  'forget-key': true,
  answer: true,
  record: true,
  release: true,
  start: true,
  stop: true,
  suspend: true,
  resume: true,
  execute: true,
  apply: true,
  import: true,
  digest: true,
  export: true,
  checkpoint: true,
  refreshed: true,
  'truncate-order': true,
  'truncate-updates': true,
  send: true,
  fetch: true,
  'fetch-state': true,
  'take-state': true,
  succeeded: true,
  'succession-failed': true,
  incident: true,
  skipped: true,
};
const COMMANDS: Record<Command['type'], true> = {
  boot: true,
  dismiss: true,
  report: true,
  decide: true,
  join: true,
  suspect: true,
  expel: true,
  settle: true,
  skip: true,
  rotate: true,
  promote: true,
  retire: true,
  succeed: true,
};
const ENTRIES: Record<Entry['type'], true> = {
  start: true,
  request: true,
  tick: true,
  mark: true,
  command: true,
};
const PARTS: Record<Part['type'], true> = {
  votes: true,
  progress: true,
  ask: true,
  decisions: true,
  'too-old': true,
  'caught-up': true,
  silent: true,
  exported: true,
};
const OUTCOMES: Record<Outcome['type'], true> = {
  reply: true,
  skipped: true,
  unknown: true,
  'key-reused': true,
};
const REASONS: Record<SkipReason, true> = { 'no-agreement': true, poison: true, timeout: true };
const KINDS: Record<FaultKind, true> = {
  reply: true,
  update: true,
  state: true,
  late: true,
  crash: true,
  protocol: true,
};
const FAULTS: Record<Exclude<Fault['type'], 'replica'>, true> = {
  'host-crash': true,
  'restart-all': true,
  partition: true,
  'order-cut': true,
  'order-lag': true,
  'order-down': true,
  noise: true,
  'false-alarm': true,
  skew: true,
  standstill: true,
  rotate: true,
  recover: true,
  deploy: true,
  'disk-full': true,
  changed: true,
};

const ALL: Record<string, object> = {
  event: EVENTS,
  effect: EFFECTS,
  command: COMMANDS,
  entry: ENTRIES,
  part: PARTS,
  outcome: OUTCOMES,
  skip: REASONS,
  blame: KINDS,
  fault: FAULTS,
  broken: record([...LIES, ...FAILURES, ...BREACHES, ...SELDOM]),
  ...transitions('agreement', AGREEMENT),
  ...transitions('replica', REPLICA),
};

function record(names: readonly string[]): Record<string, true> {
  return Object.fromEntries(names.map((name) => [name, true] as const));
}

/** A group for each state of a table. */
function transitions(table: string, cells: Parameters<typeof ways>[0]): Record<string, object> {
  return Object.fromEntries(ways(cells).map(([state, all]) => [`${table} ${state}`, record(all)]));
}

export class Coverage {
  readonly counts: Map<string, number> = new Map();

  #count(key: string, by = 1): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) + by);
  }

  observe(host: Host | null, what: Observed): void {
    if (host === null) {
      this.#count(what.type === 'replica' ? `broken ${what.way}` : `fault ${what.type}`);
    } else if (isEvent(what)) this.#event(what);
    else this.#effect(what as Effect);
  }

  #event(event: Event): void {
    this.#count(`event ${event.type}`);
    if (event.type === 'peer') for (const { type } of event.message.parts) this.#count(`part ${type}`);
    if (event.type !== 'ordered') return;
    this.#count(`entry ${event.entry.type}`);
    if (event.entry.type === 'command') this.#count(`command ${event.entry.command.type}`);
  }

  #effect(effect: Effect): void {
    this.#count(`effect ${effect.type}`);
    if (effect.type === 'incident') this.#count(`blame ${effect.fault.kind}`);
    if (effect.type !== 'answer') return;
    this.#count(`outcome ${effect.outcome.type}`);
    if (effect.outcome.type === 'skipped') this.#count(`skip ${effect.outcome.reason}`);
  }

  add(counts: Iterable<readonly [string, number]>): void {
    for (const [key, count] of counts) this.#count(key, count);
  }

  get missing(): string[] {
    return Object.entries(ALL).flatMap(([group, members]) =>
      Object.keys(members).flatMap((name) =>
        this.counts.has(`${group} ${name}`) ? [] : [`${group} ${name}`],
      ),
    );
  }

  /** One line for each group. */
  lines(): string[] {
    return Object.entries(ALL).map(([group, members]) => {
      const counts = Object.keys(members).map(
        (name) => `${name} ${this.counts.get(`${group} ${name}`) ?? 0}`,
      );
      return `${group.padEnd(19)} ${counts.join(', ')}`;
    });
  }
}
