/**
 * The group: which replicas belong to it, in which role. Ordered state: changed by commands only, at their index.
 *
 * G1. A replica that left never comes back, and one that was active never becomes passive.
 * G2. A suspicion makes every passive replica active; it lasts until `settle` names f+1 to stay.
 * G3. Outside a suspicion there are at most f+1 active replicas.
 */
import type { Command, Membership } from './entry.ts';
import { assert, type Index, type ManagerId, type ReplicaId } from './ids.ts';

export interface Change {
  /** Were passive, are active now. */
  readonly woken: readonly Membership[];
  readonly joined: readonly Membership[];
  readonly left: readonly Membership[];
}

const NOTHING: Change = { woken: [], joined: [], left: [] };

export class Group {
  readonly #members = new Map<ReplicaId, Membership>();
  readonly #quorum: number;
  /** Index of the latest command that raised or widened the present suspicion. */
  #suspicion: Index | null = null;

  constructor(faults: number) {
    this.#quorum = faults + 1;
  }

  get suspicion(): Index | null {
    return this.#suspicion;
  }

  get size(): number {
    return this.#members.size;
  }

  get(replica: ReplicaId): Membership | undefined {
    return this.#members.get(replica);
  }

  members(): Iterable<Membership> {
    return this.#members.values();
  }

  active(): Membership[] {
    return [...this.#members.values()].filter((member) => member.role === 'active');
  }

  apply(at: Index, command: Command): Change {
    switch (command.type) {
      case 'boot':
        return this.#boot(at, command.manager, command.members);
      case 'join':
        return this.#join(command.member);
      case 'suspect':
        return { ...NOTHING, woken: this.#suspect(at) };
      case 'expel':
        return this.#expel(at, command.replica);
      case 'settle':
        return this.#settle(command.active);
      case 'skip':
        return NOTHING;
    }
  }

  #boot(at: Index, manager: ManagerId, members: readonly Membership[]): Change {
    const left = [...this.#members.values()].filter((member) => member.manager === manager);
    for (const member of left) this.#members.delete(member.replica);
    for (const member of members) this.#members.set(member.replica, member);
    this.#suspicion = null;
    return { woken: this.#fillActive(at), joined: members, left };
  }

  #join(member: Membership): Change {
    if (this.#members.has(member.replica)) return NOTHING;
    const joining: Membership = { ...member, role: this.#suspicion === null ? 'passive' : 'active' };
    this.#members.set(member.replica, joining);
    return { ...NOTHING, joined: [joining] };
  }

  #suspect(at: Index): Membership[] {
    this.#suspicion = at;
    const woken: Membership[] = [];
    for (const member of this.#members.values()) {
      if (member.role !== 'passive') continue;
      const active = { ...member, role: 'active' as const };
      this.#members.set(member.replica, active);
      woken.push(active);
    }
    return woken;
  }

  #fillActive(at: Index): Membership[] {
    return this.active().length >= this.#quorum && this.#suspicion === null ? [] : this.#suspect(at);
  }

  #expel(at: Index, replica: ReplicaId): Change {
    const member = this.#members.get(replica);
    if (member === undefined) return NOTHING;
    this.#members.delete(replica);
    return { ...NOTHING, woken: this.#fillActive(at), left: [member] };
  }

  /** Ignored when it no longer fits: a member that it names left meanwhile. */
  #settle(active: readonly ReplicaId[]): Change {
    const stay = new Set(active.filter((replica) => this.#members.get(replica)?.role === 'active'));
    if (this.#suspicion === null || stay.size !== this.#quorum) return NOTHING;
    this.#suspicion = null;
    const left = this.active().filter((member) => !stay.has(member.replica));
    for (const member of left) this.#members.delete(member.replica);
    assert(this.active().length === this.#quorum, 'G3: f+1 active replicas after a suspicion');
    return { ...NOTHING, left };
  }
}
