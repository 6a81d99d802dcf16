/**
 * The turns of replicas, as one manager counts them (`turn` in `src/core/message.ts`): one that executed and is put back to a
 * verified state begins a new one, and what others said of an earlier turn does not count.
 */
import type { Core } from '../src/core/core.ts';
import type { Effect } from '../src/core/effect.ts';
import type { Event, Vote } from '../src/core/event.ts';
import type { ReplicaId } from '../src/core/ids.ts';
import type { Part } from '../src/core/message.ts';
import { promise } from './violation.ts';

export class Turns {
  /** In which turn a replica here was last told to execute. */
  readonly #executed = new Map<ReplicaId, number>();
  /** The latest turn that was heard of, and what was said in it. */
  readonly #heard = new Map<ReplicaId, { readonly turn: number; readonly votes: Map<number, Vote> }>();

  effect({ replicas }: Core, effect: Effect): void {
    if (effect.type !== 'execute' && effect.type !== 'import') return;
    const { replica } = effect;
    const turn = replicas.get(replica)?.turn;
    if (turn === undefined) return;
    if (effect.type === 'execute') return void this.#executed.set(replica, turn);
    const before = this.#executed.get(replica) ?? -1;
    promise(turn > before, 'C', () => `${replica} is put back, and its turn ${turn} goes on`);
  }

  told(core: Core, event: Event): void {
    if (event.type !== 'peer') return;
    if (event.message.boot !== core.managers.bootOf(event.from)) return;
    for (const part of event.message.parts) if (part.type === 'votes') this.#votes(core, part);
  }

  #votes({ group, order, peers }: Core, { replica, turn, votes }: Extract<Part, { type: 'votes' }>): void {
    if (group.get(replica) === undefined) return;
    let latest = this.#heard.get(replica);
    if (latest === undefined || turn > latest.turn) {
      latest = { turn, votes: new Map() };
      this.#heard.set(replica, latest);
    }
    for (const { index, vote } of votes) {
      if (turn === latest.turn) latest.votes.set(index, vote);
      const counts = index > order.decided && order.slot(index)?.votes.get(replica) === vote;
      // What waits for the order was noted here already.
      const late = counts && latest.votes.get(index) !== vote && peers.held === 0;
      promise(!late, 'C', () => `${replica} is believed what it said of ${index} in an earlier turn`);
    }
  }
}
