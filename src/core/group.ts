/**
 * The group: which replicas belong to it, in which role. Ordered state: changed by commands only, at their index.
 *
 * G1. A replica that left never comes back, and one that was active never becomes passive.
 * G2. A suspicion makes every passive replica active; it lasts until `settle` names f+1 to stay.
 * G3. Outside a suspicion there are at most f+1 active replicas, and never more than 2f+2 members.
 * G4. Once there were f+1 active replicas, which of them vote on an entry changes only by a suspicion, or at the entry of a
 *     `promote` or `succeed`: what comes before it is the old ones', what comes after it the new ones'.
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
  readonly rotation: Rotation | null;
  readonly takeover: Takeover | null;
}

/** An active replica is to be replaced by a passive one, which catches up. */
export interface Rotation {
  readonly out: ReplicaId;
  readonly by: ReplicaId;
}

/**
 * A rotation whose `promote`, or a deploy whose `succeed`, is entry `at`; over once nobody waits any more for votes on what comes
 * before.
 */
export interface Takeover {
  readonly out: readonly Member[];
  readonly by: readonly ReplicaId[];
  readonly at: Index;
}

const NOTHING: Change = { woken: [], joined: [], left: [] };

export class Group {
  readonly #members = new Map<ReplicaId, Member>();
  readonly #quorum: number;
  /** Index of the latest command that raised or widened the present suspicion. */
  #suspicion: Index | null = null;
  /** There were f+1 active replicas, or somebody that is waited for will not come. */
  #founded = false;
  #rotation: Rotation | null = null;
  #takeover: Takeover | null = null;
  /** The one that was replaced is gone; nobody can tell from the order whether it had voted on all that it has to. */
  #lost = false;

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

  get rotation(): Rotation | null {
    return this.#rotation;
  }

  get rotating(): boolean {
    return this.#rotation !== null || this.#takeover !== null;
  }

  get takeover(): Takeover | null {
    return this.#takeover;
  }

  /** Fewer than 2f+1 are left to end a suspicion, who may neither agree nor find that they cannot: whoever could help may never come. */
  get helpless(): boolean {
    return this.#suspicion !== null && this.#members.size < 2 * this.#quorum - 1;
  }

  /** Whether a new version may take over now. */
  get succeedable(): boolean {
    return this.#founded && !this.rotating && (this.#suspicion === null || this.helpless);
  }

  /** A member, or one that was replaced and may still have to vote. */
  get(replica: ReplicaId): Member | undefined {
    return this.#members.get(replica) ?? this.#replaced(replica);
  }

  #replaced(replica: ReplicaId): Member | undefined {
    return this.#takeover?.out.find((member) => member.replica === replica);
  }

  /** The active replicas whose votes an entry needs. */
  voters(index: Index): Member[] {
    const active = this.active();
    if (this.#takeover === null || index > this.#takeover.at) return active;
    const { by, out } = this.#takeover;
    return [...active.filter(({ replica }) => !by.includes(replica)), ...out];
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
      case 'rotate':
        return this.#rotate(command.replica, command.by);
      case 'promote':
        return this.#promote(at, command.replica, command.replaces);
      case 'retire':
        return this.#retire(command.replica);
      case 'succeed':
        return this.#succeed(at, command.members);
      case 'skip':
      case 'report':
      case 'decide':
        return NOTHING;
    }
  }

  #remove(manager: ManagerId): Member[] {
    const left = [...this.#members.values()].filter((member) => member.manager === manager);
    for (const member of left) this.#forget(member.replica);
    this.#lost = this.#takeover?.out.some((member) => member.manager === manager) ?? false;
    return left;
  }

  #forget(replica: ReplicaId): void {
    this.#members.delete(replica);
    if (this.#rotation?.out === replica || this.#rotation?.by === replica) this.#rotation = null;
  }

  #boot(at: Index, manager: ManagerId, members: readonly Member[]): Change {
    const left = this.#remove(manager);
    const empty = this.#members.size === 0;
    if (empty) {
      this.#suspicion = null;
      this.#takeover = null;
      this.#lost = false;
    }
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
    // Whoever is active now votes on all that is undecided.
    this.#rotation = null;
    this.#takeover = null;
    this.#lost = false;
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
    const enough = this.active().length >= this.#quorum && this.#suspicion === null && !this.#lost;
    return enough || !this.#founded ? [] : this.#suspect(at);
  }

  #expel(at: Index, replica: ReplicaId): Change {
    const member = this.#members.get(replica);
    if (member === undefined) return this.#expelReplaced(at, replica);
    this.#forget(replica);
    this.#founded ||= member.role === 'active';
    return { ...NOTHING, woken: this.#fillActive(at), left: [member] };
  }

  /** It failed before it had voted on all that it has to. */
  #expelReplaced(at: Index, replica: ReplicaId): Change {
    const member = this.#replaced(replica);
    if (member === undefined) return NOTHING;
    return { ...NOTHING, woken: this.#suspect(at), left: [member] };
  }

  #rotate(replica: ReplicaId, by: ReplicaId | null): Change {
    const member = this.#members.get(replica);
    if (member === undefined || this.#suspicion !== null || this.rotating || !this.#founded) return NOTHING;
    if (by === null && member.role === 'passive') {
      this.#forget(replica);
      return { ...NOTHING, left: [member] };
    }
    if (by === null || member.role === 'passive' || this.#members.get(by)?.role !== 'passive') return NOTHING;
    this.#rotation = { out: replica, by };
    return NOTHING;
  }

  #promote(at: Index, by: ReplicaId, replaces: ReplicaId): Change {
    const out = this.#members.get(replaces);
    const member = this.#members.get(by);
    const fits = this.#rotation?.out === replaces && this.#rotation.by === by;
    if (!fits || out === undefined || member === undefined) return NOTHING;
    this.#rotation = null;
    this.#takeover = { out: [out], by: [by], at };
    this.#members.delete(replaces);
    this.#members.set(by, { ...member, role: 'active' });
    assert(this.active().length === this.#quorum, 'G3: f+1 active replicas after a rotation');
    return NOTHING;
  }

  #retire(replica: ReplicaId): Change {
    if (this.#takeover === null || this.#replaced(replica) === undefined) return NOTHING;
    const left = this.#takeover.out;
    this.#takeover = null;
    return { ...NOTHING, left };
  }

  #succeed(at: Index, members: readonly Member[]): Change {
    const known = members.some(({ replica }) => this.get(replica) !== undefined);
    if (known || !this.succeedable) return NOTHING;
    const old = [...this.#members.values()];
    const out = this.active();
    this.#members.clear();
    for (const member of members) this.#members.set(member.replica, member);
    if (this.#suspicion !== null) return { ...NOTHING, woken: this.#suspect(at), left: old };
    const left = old.filter(({ role }) => role === 'passive');
    this.#takeover = { out, by: this.active().map(({ replica }) => replica), at };
    assert(this.active().length === this.#quorum, 'G3: f+1 active replicas after a deploy');
    return { ...NOTHING, left };
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
    return {
      members: [...this.#members.values()],
      suspicion: this.#suspicion,
      founded: this.#founded,
      rotation: this.#rotation,
      takeover: this.#takeover,
    };
  }

  restore({ members, suspicion, founded, rotation, takeover }: GroupState): void {
    this.#members.clear();
    for (const member of members) this.#members.set(member.replica, member);
    this.#suspicion = suspicion;
    this.#founded = founded;
    this.#rotation = rotation;
    this.#takeover = takeover;
  }
}
