/**
 * Test support: what must hold after every step, whatever happens.
 *
 * P1. A reply is what f+1 different members voted for, none of them named as faulty before, and what a single
 *     correct server would have said.
 * P2. What was answered stays so, also after everything was killed.
 * P3. Entries are recorded and answered in order, once, and only when durable.
 * P4. A replica that never executed holds the verified state of a prefix of the order.
 * G.  A replica that executed is never suspended again; at most f+1 execute while there is no suspicion, and one more in a
 *     rotation.
 * E.  What `effect.ts` promises.
 */
import type { Effect } from '../effect.ts';
import type { Event } from '../event.ts';
import { assert, type Digest, type ReplicaId } from '../ids.ts';
import { oldestOwed } from '../local.ts';
import { updateDigest } from './service.ts';
import type { World } from './world.ts';

type Of<T extends Effect['type']> = Extract<Effect, { type: T }>;

export class Checks {
  readonly #world: World;
  /** What clients were told, in all runs. */
  readonly #told: Map<number, string>;
  readonly #started = new Set<ReplicaId>();
  readonly #named = new Set<ReplicaId>();
  readonly #votes = new Map<number, Map<ReplicaId, string>>();
  readonly #exports = new Map<number, Map<ReplicaId, Digest>>();
  readonly #exporting = new Map<ReplicaId, number>();
  /** The entry that a replica's state is after, once it did all that it was sent. */
  readonly #sent = new Map<ReplicaId, number>();
  readonly #unreleased = new Set<number>();
  #recorded: number;
  #answered: number;
  #checkpointed = -1;
  #refreshed = -1;

  constructor(world: World, before: Checks | null = null) {
    this.#world = world;
    this.#told = before === null ? new Map() : before.#told;
    this.#recorded = world.disk.decided;
    this.#answered = world.disk.decided;
    for (const [at, told] of this.#told)
      assert(world.truth.outcome(at) === told, `P2: entry ${at} was answered ${told}`);
  }

  before(event: Event): void {
    // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- only some are worth noting
    switch (event.type) {
      case 'ordered': {
        const stored = this.#world.disk.entries.get(event.index);
        assert(stored !== undefined, 'only what is on disk is ordered');
        this.#world.truth.ordered(event.index, stored, this.#world.core.order.decided);
        if (event.index > this.#world.core.order.decided) this.#unreleased.add(event.index);
        return;
      }
      case 'vote': {
        const member = this.#world.core.group.get(event.replica) !== undefined;
        if (!member || this.#named.has(event.replica)) return;
        const votes = this.#votes.get(event.index) ?? new Map<ReplicaId, string>();
        this.#votes.set(event.index, votes.set(event.replica, `${event.vote.reply} ${event.vote.update}`));
        return;
      }
      case 'exported': {
        if (this.#named.has(event.replica)) return;
        const at = this.#exporting.get(event.replica) ?? -1;
        const exports = this.#exports.get(at) ?? new Map<ReplicaId, Digest>();
        this.#exports.set(at, exports.set(event.replica, event.digest));
        return;
      }
      case 'checkpointed':
        this.#checkpointed = event.index;
        return;
      default:
    }
  }

  effect(effect: Effect): void {
    // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- only some promise something
    switch (effect.type) {
      case 'incident':
        assert(!this.#named.has(effect.fault.replica), 'P6: a replica is named once');
        this.#named.add(effect.fault.replica);
        for (const [at, votes] of this.#votes)
          if (at > this.#world.core.order.decided) votes.delete(effect.fault.replica);
        return;
      case 'append-mark':
        return assert(this.#world.core.group.suspicion === null, 'no refresh during a suspicion');
      case 'refreshed':
        this.#refreshed = effect.through;
        return;
      case 'record':
        return this.#record(effect);
      case 'answer':
        return this.#answer(effect);
      case 'release':
        assert(effect.index <= this.#world.core.order.decided, 'E: only decided entries are released');
        assert(this.#unreleased.delete(effect.index), 'E5: released once');
        return;
      case 'start':
        assert(!this.#started.has(effect.replica), `${effect.replica} is started once`);
        this.#started.add(effect.replica);
        return void this.#sent.set(effect.replica, 0);
      case 'apply':
        assert(effect.from === this.#at(effect.replica) + 1, `E3: ${effect.replica} gets no gap`);
        assert(effect.through <= this.#world.core.order.decided, 'E3: only decided updates');
        assert(effect.from > this.#refreshed, 'P7: nobody asks for updates that were let go from memory');
        return void this.#sent.set(effect.replica, effect.through);
      case 'import':
        assert(effect.through <= this.#world.core.order.decided, 'E3: only a decided state');
        return void this.#sent.set(effect.replica, effect.through);
      case 'execute':
        return this.#execute(effect);
      case 'suspend':
        assert(this.#world.replicas.get(effect.replica)?.executes !== true, `G: ${effect.replica} executed`);
        return;
      case 'export':
        return void this.#exporting.set(effect.replica, effect.index);
      case 'checkpoint':
        return this.#checkpoint(effect);
      case 'truncate-updates':
        assert(effect.through === this.#checkpointed, 'E4: truncated only up to a durable checkpoint');
        return;
      case 'truncate-order':
        assert(effect.through <= this.#recorded, 'E4: truncated only what is recorded');
        return;
      default:
    }
  }

  #at(replica: ReplicaId): number {
    return this.#sent.get(replica) ?? -1;
  }

  #quorum(at: number, matches: (vote: string) => boolean): boolean {
    const votes = [...(this.#votes.get(at)?.values() ?? [])];
    return votes.filter(matches).length > this.#world.options.faults;
  }

  #record({ index, vote, keyed }: Of<'record'>): void {
    assert(index > this.#recorded, 'P3: recorded in order');
    this.#recorded = index;
    const right = this.#world.truth.result(index);
    assert(right !== null, `entry ${index} is not to be executed`);
    assert(vote.reply === right.reply, `P1: entry ${index} has the right reply`);
    assert(vote.update === updateDigest(right.update), `P1: entry ${index} has the right update`);
    assert(keyed === this.#world.truth.keyed(index), 'P2: the reply to a request with a key is kept');
    const text = `${vote.reply} ${vote.update}`;
    assert(
      this.#quorum(index, (cast) => cast === text),
      `P1: f+1 voted for entry ${index}`,
    );
  }

  #answer({ index, outcome }: Of<'answer'>): void {
    assert(index > this.#answered, 'P3: answered in order, once');
    this.#answered = index;
    assert(index <= this.#world.durableTold, 'P3: answered when durable');
    let text: string = outcome.type;
    if (outcome.type === 'skipped') text = `skipped ${outcome.reason}`;
    if (outcome.type === 'reply')
      text = outcome.of === index ? `reply ${outcome.digest}` : `reply of ${outcome.of}`;
    assert(text === this.#world.truth.outcome(index), `P1: entry ${index} is answered rightly, not ${text}`);
    if (outcome.type === 'reply' && outcome.of === index) {
      assert(
        this.#quorum(index, (vote) => vote.startsWith(`${outcome.digest} `)),
        `P1: f+1 voted for entry ${index}`,
      );
    }
    assert((this.#told.get(index) ?? text) === text, `P2: entry ${index} was answered otherwise before`);
    this.#told.set(index, text);
  }

  #execute({ replica, index }: Of<'execute'>): void {
    const { truth, core } = this.#world;
    assert(index > core.order.decided, 'E3: only undecided entries are executed');
    assert(truth.executed(index), `entry ${index} is not to be executed`);
    for (let between = this.#at(replica) + 1; between < index; between++)
      assert(!truth.executed(between), `E3: ${replica} misses entry ${between}`);
    assert(this.#at(replica) < index, `E3: ${replica} executes entry ${index} once`);
    this.#sent.set(replica, index);
  }

  #checkpoint({ index, digest }: Of<'checkpoint'>): void {
    const exports = [...(this.#exports.get(index)?.values() ?? [])];
    const equal = exports.filter((exported) => exported === digest).length;
    assert(equal > this.#world.options.faults, 'a checkpoint has f+1 equal exports');
    assert(digest === this.#world.truth.state(index), 'a checkpoint is the verified state');
  }

  state(): void {
    const { replicas, core, truth, options } = this.#world;
    let executing = 0;
    for (const replica of replicas.values()) {
      if (replica.executes) executing++;
      else if (replica.behaviour.lie !== 'update' && replica.at >= 0) {
        assert(replica.at <= Math.max(0, core.order.decided), `P4: ${replica.id} is not ahead`);
        assert(
          replica.state === truth.state(replica.at),
          `P4: ${replica.id} holds the state at ${replica.at}`,
        );
      }
    }
    // In a rotation the old one may go on beside the new one; in a deploy never.
    const beside = core.group.takeover?.out.length === 1 ? 1 : 0;
    const most = options.faults + 1 + beside;
    assert(core.group.suspicion !== null || executing <= most, 'G: at most f+1 execute');
  }

  /** What is still held for entries that are long answered; nothing, when all is quiet. */
  get leftovers(): string[] {
    const left = [...this.#unreleased].map((at) => `entry ${at}`);
    for (const local of this.#world.core.replicas.all()) {
      const owed = local.phase === 'starting' ? null : oldestOwed(local);
      if (owed !== null) left.push(`${local.id} owes ${owed}`);
    }
    return left;
  }
}
