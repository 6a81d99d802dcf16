/**
 * Test support: the scripted replicas, and what they are sent. Decided updates come from memory as far as it goes back,
 * whole states and older updates from the disk.
 */
import type { Effect } from '../effect.ts';
import { assert, type ReplicaId } from '../ids.ts';
import type { Disk } from './disk.ts';
import { type Behaviour, Replica } from './replica.ts';
import type { Update } from './service.ts';

export type ToReplica = Extract<Effect, { replica: ReplicaId }>;

export class Fleet {
  readonly replicas: Map<ReplicaId, Replica> = new Map();
  readonly #disk: Disk;
  readonly #behaviour: (id: ReplicaId, variant: number) => Partial<Behaviour>;
  readonly #memory = new Map<number, Update>();
  #trimmed: number;

  constructor(disk: Disk, behaviour: (id: ReplicaId, variant: number) => Partial<Behaviour>) {
    this.#disk = disk;
    this.#behaviour = behaviour;
    this.#trimmed = disk.decided;
  }

  record(index: number, update: Update | null): void {
    if (update !== null) this.#memory.set(index, update);
  }

  trim(through: number): void {
    this.#trimmed = Math.max(this.#trimmed, through);
    for (const at of this.#memory.keys()) if (at <= through) this.#memory.delete(at);
  }

  carryOut(now: number, effect: ToReplica): void {
    if (effect.type === 'start') return this.#start(now, effect.replica, effect.variant);
    const replica = this.replicas.get(effect.replica);
    if (replica === undefined) return;
    switch (effect.type) {
      case 'stop':
        this.replicas.delete(replica.id);
        return;
      case 'suspend':
      case 'resume':
        replica.suspended = effect.type === 'suspend';
        return;
      case 'execute': {
        const { index, time, tickFrom } = effect;
        const { kind } = this.#disk.entries.get(index) ?? { kind: 'command' };
        return replica.send(now, { type: 'execute', job: { index, kind, time, tickFrom } });
      }
      case 'apply': {
        const updates = this.#updates(effect.from, effect.through);
        return replica.send(now, { type: 'apply', updates, through: effect.through });
      }
      case 'import': {
        const { index, state } = this.#disk.checkpoint;
        assert(index <= effect.through, 'an import is never older than the checkpoint');
        const updates = this.#disk.between(index + 1, effect.through);
        const through = effect.through;
        return replica.send(now, { type: 'import', state: updates.at(-1)?.to ?? state, through });
      }
      case 'digest':
        return replica.send(now, { type: 'digest' });
      case 'export':
        return replica.send(now, { type: 'export' });
    }
  }

  #start(now: number, id: ReplicaId, variant: number): void {
    this.#disk.write({ type: 'next-replica', number: Number(id.slice(1)) + 1 });
    const work = { startMs: 20, workMs: 0, fillMs: 0, stateMs: 0, stateBytes: 0 };
    const sound = { ...work, failsToStart: false, failsToFill: false, hung: false, lie: null };
    const replica = new Replica(id, variant, { ...sound, ...this.#behaviour(id, variant) });
    this.replicas.set(id, replica);
    const time = this.#disk.entries.get(0)?.entry.time ?? 0;
    replica.send(now, { type: 'start', job: { index: 0, kind: 'start', time, tickFrom: 0 } });
  }

  #updates(from: number, through: number): Update[] {
    if (from <= this.#trimmed) return this.#disk.between(from, through);
    return [...this.#memory].filter(([at]) => at >= from && at <= through).map(([, update]) => update);
  }
}
