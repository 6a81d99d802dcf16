/**
 * Watches where every manager's replicas and the way of deciding go, step by step, compares it with the tables of
 * `transitions.ts`, and counts the ways that were taken. Looks from outside: at what the core was told, and how it was before
 * and after.
 */
import type { Core } from '../src/core/core.ts';
import type { Effect } from '../src/core/effect.ts';
import type { Command, Role } from '../src/core/entry.ts';
import type { Event } from '../src/core/event.ts';
import type { ReplicaId } from '../src/core/ids.ts';
import type { Host } from './host.ts';
import { AGREEMENT, type ModeChange, REPLICA, type ReplicaEvent, type ReplicaState } from './transitions.ts';
import { promise } from './violation.ts';

interface Seen {
  readonly replicas: ReadonlyMap<ReplicaId, ReplicaState>;
  readonly roles: ReadonlyMap<ReplicaId, Role>;
  readonly decided: number;
  readonly mode: Core['agreement']['mode'];
  readonly round: number;
}

/** One step of one manager. */
interface Step {
  readonly host: Host;
  readonly event: Event;
  readonly command: Command | null;
  readonly took: boolean;
  readonly effects: readonly Effect[];
  readonly before: Seen;
  readonly after: Seen;
}

function look({ replicas: locals, group, order, agreement }: Core): Seen {
  const replicas = new Map<ReplicaId, ReplicaState>();
  const roles = new Map<ReplicaId, Role>();
  for (const { id, phase, faulty } of locals.all()) replicas.set(id, faulty ? 'faulty' : phase);
  for (const { replica, role } of group.members()) roles.set(replica, role);
  return { replicas, roles, decided: order.decided, mode: agreement.mode, round: agreement.round };
}

export class Movements {
  readonly counts: Map<string, number> = new Map();
  readonly #seen = new Map<Host, Seen>();

  stepped(host: Host, core: Core, event: Event, effects: readonly Effect[]): void {
    const after = look(core);
    const before = this.#seen.get(host);
    this.#seen.set(host, after);
    // What was before a restart is gone.
    if (event.type === 'recovered' || before === undefined) return;
    const command = event.type === 'ordered' && event.entry.type === 'command' ? event.entry.command : null;
    const took = effects.some(({ type }) => type === 'take-state');
    const step: Step = { host, event, command, took, effects, before, after };
    if (!core.alone) this.#mode(step);
    for (const id of before.replicas.keys()) this.#replica(step, id);
    for (const id of after.replicas.keys()) if (!before.replicas.has(id)) this.#replica(step, id);
  }

  #mode({ host, event, command, before, after }: Step): void {
    const began = after.round !== before.round;
    if (event.type !== 'ordered') {
      promise(!began && after.mode === before.mode, 'X', () => `${host.id}: ${after.mode} at ${event.type}`);
      return;
    }
    const name = command?.type ?? 'other';
    let to: ModeChange = 'stay';
    if (began) to = 'round';
    else if (after.mode !== before.mode && after.mode !== 'reporting') to = after.mode;
    this.#count(`agreement ${before.mode}`, `${name} ${to}`);
    const allowed = AGREEMENT[before.mode][name].includes(to);
    promise(allowed, 'X', () => `${host.id}: ${before.mode}, ${name}, ${to}`);
  }

  #replica(step: Step, id: ReplicaId): void {
    const from: ReplicaState = step.before.replicas.get(id) ?? 'none';
    const now: ReplicaState = step.after.replicas.get(id) ?? 'none';
    const to = now === from ? 'stay' : now;
    const what = from === 'none' ? 'start' : whatHappened(step, id);
    this.#count(`replica ${from}`, `${what} ${to}`);
    promise(REPLICA[from][what].includes(to), 'X', () => `${id}: ${from}, ${what}, ${to}`);
  }

  #count(state: string, way: string): void {
    const key = `${state} ${way}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }
}

/** What a step was for one replica: the nearest to it of all that it was. */
function whatHappened(step: Step, id: ReplicaId): ReplicaEvent {
  const { host, event, command, took, effects, before, after } = step;
  const own = 'replica' in event && event.replica === id ? ownWord(event) : null;
  if (own !== null) return own;
  if (effects.some((effect) => effect.type === 'incident' && effect.fault.replica === id)) return 'blamed';
  if (command?.type === 'join' && command.member.replica === id) return 'join';
  if (command?.type === 'rotate' && (command.replica === id || command.by === id)) return 'rotate';
  if (command?.type === 'promote' && (command.replica === id || command.replaces === id)) return 'promote';
  if (command?.type === 'succeed') {
    const named = command.members.some(({ replica }) => replica === id);
    if (named || (before.roles.get(id) === 'active' && !after.roles.has(id))) return 'promote';
    if (!after.replicas.has(id)) return 'leave';
  }
  const failed = effects.some(({ type }) => type === 'succession-failed');
  if (failed && !after.replicas.has(id)) return 'leave';
  if (command !== null) {
    const left = before.roles.has(id) && !after.roles.has(id);
    const dismissed = command.type === 'dismiss' && command.manager === host.id && !after.replicas.has(id);
    if (left || dismissed) return 'leave';
    if (before.roles.get(id) === 'passive' && after.roles.get(id) === 'active') return 'wake';
  }
  if (command?.type === 'skip') return 'skip';
  if (took) return 'state';
  if (after.decided > before.decided) return 'decided';
  return event.type === 'clock' ? 'clock' : 'other';
}

function ownWord(event: Extract<Event, { replica: ReplicaId }>): ReplicaEvent | null {
  switch (event.type) {
    case 'vote':
      return 'result';
    case 'exported':
      return 'export';
    case 'digest':
    case 'down':
      return event.type;
    case 'paused':
    case 'rotate':
      return null;
  }
}
