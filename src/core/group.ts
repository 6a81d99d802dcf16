/**
 * The group: which replicas belong to it, in which role. Ordered state: changed by commands only, at their index.
 *
 * G1. A replica that left never comes back, and one that was active never becomes passive.
 * G2. A suspicion makes every passive replica active; it lasts until `settle` names f+1 to stay.
 * G3. Outside a suspicion there are at most f+1 active replicas, and never more than 2f+2 members.
 * G4. The set of active replicas changes only by a suspicion, once there were f+1 of them.
 */
import type { Command, Member } from './entry.ts';
import { assert, type Index, type ManagerId, type ReplicaId } from './ids.ts';

export interface Change {
  /** Were passive, are active now. */
  readonly woken: readonly Member[];
  readonly joined: readonly Member[];
  readonly left: readonly Member[];
}

export interface GroupState {
  readonly members: readonly Member[];
  readonly suspicion: Index | null;
  readonly founded: boolean;
}

const NOTHING: Change = { woken: [], joined: [], left: [] };

export class Group {
  readonly #members = new Map<ReplicaId, Member>();
  readonly #quorum: number;
  /** Index of the latest command that raised or widened the present suspicion. */
  #suspicion: Index | null = null;
  /** There were f+1 active replicas, or somebody that is waited for will not come. */
  #founded = false;

  constructor(faults: number) {
    this.#quorum = faults + 1;
  }

  get suspicion(): Index | null {
    return this.#suspicion;
  }

  get founded(): boolean {
    return this.#founded;
  }

  get size(): number {
    return this.#members.size;
  }

  get(replica: ReplicaId): Member | undefined {
    return this.#members.get(replica);
  }

  members(): Iterable<Member> {
    return this.#members.values();
  }

  active(): Member[] {
    return [...this.#members.values()].filter((member) => member.role === 'active');
  }

  apply(at: Index, command: Command): Change {
    switch (command.type) {
      case 'boot':
        return this.#boot(at, command.manager, command.members);
      case 'dismiss':
        return this.#dismiss(at, command.manager);
      case 'join':
        return this.#join(command.member);
      case 'suspect':
        return { ...NOTHING, woken: this.#suspect(at) };
      case 'expel':
        return this.#expel(at, command.replica);
      case 'settle':
        return this.#settle(command.active);
      case 'skip':
      case 'report':
      case 'decide':
        return NOTHING;
    }
  }

  #remove(manager: ManagerId): Member[] {
    const left = [...this.#members.values()].filter((member) => member.manager === manager);
    for (const member of left) this.#members.delete(member.replica);
    return left;
  }

  #boot(at: Index, manager: ManagerId, members: readonly Member[]): Change {
    const left = this.#remove(manager);
    const empty = this.#members.size === 0;
    if (empty) this.#suspicion = null;
    const woken = empty ? [] : this.#fillActive(at);
    const joined: Member[] = [];
    for (const member of members) {
      if (this.#full) break;
      const role = this.#suspicion !== null ? 'active' : empty || !this.#founded ? member.role : 'passive';
      const joining: Member = { ...member, role };
      this.#members.set(member.replica, joining);
      joined.push(joining);
    }
    this.#founded ||= this.active().length >= this.#quorum;
    return { woken: [...woken, ...(empty ? this.#fillActive(at) : [])], joined, left };
  }

  get #full(): boolean {
    return this.#members.size >= 2 * this.#quorum;
  }

  #dismiss(at: Index, manager: ManagerId): Change {
    const left = this.#remove(manager);
    this.#founded = true;
    return { ...NOTHING, woken: this.#fillActive(at), left };
  }

  #join(member: Member): Change {
    if (this.#members.has(member.replica) || this.#full) return NOTHING;
    const joining: Member = { ...member, role: this.#suspicion === null ? 'passive' : 'active' };
    this.#members.set(member.replica, joining);
    return { ...NOTHING, joined: [joining] };
  }

  #suspect(at: Index): Member[] {
    this.#suspicion = at;
    const woken: Member[] = [];
    for (const member of this.#members.values()) {
      if (member.role !== 'passive') continue;
      const active = { ...member, role: 'active' as const };
      this.#members.set(member.replica, active);
      woken.push(active);
    }
    return woken;
  }

  #fillActive(at: Index): Member[] {
    const enough = this.active().length >= this.#quorum && this.#suspicion === null;
    return enough || !this.#founded ? [] : this.#suspect(at);
  }

  #expel(at: Index, replica: ReplicaId): Change {
    const member = this.#members.get(replica);
    if (member === undefined) return NOTHING;
    this.#members.delete(replica);
    this.#founded ||= member.role === 'active';
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

  state(): GroupState {
    return { members: [...this.#members.values()], suspicion: this.#suspicion, founded: this.#founded };
  }

  restore({ members, suspicion, founded }: GroupState): void {
    this.#members.clear();
    for (const member of members) this.#members.set(member.replica, member);
    this.#suspicion = suspicion;
    this.#founded = founded;
  }
}
