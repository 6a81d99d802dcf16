/**
 * Who decides, where there are several managers. Ordered state.
 *
 * - `local`: exactly f+1 replicas are active, so f+1 equal votes are the votes of all of them: each manager decides by
 *   itself, and no two can decide differently.
 * - `reporting`: more than f+1 execute, or the view changed. Nobody decides any more by itself; each manager of the view
 *   says by an ordered `report` how far it had decided by then.
 * - `ordered`: all have reported. What is at or before the highest report (the floor) is decided as that manager decided
 *   it; what is after it, by an ordered `decide` or `skip`, of which the first one counts.
 *
 * The service's own start, entry 0, is always decided by the order: every founding replica votes on it.
 *
 * A1. Only managers of the view are waited for, each in its present life; a change of the view begins a new round.
 * A2. An ordered decision stays as long as what it rests on does: a later round with a lower floor opens entries again, and
 *     with them what was decided on top of them. One that is ordered in a later round than it was asked for has no effect.
 *     A skip rests on nothing, nor does entry 0.
 * A3. What is let go of follows from the order alone: the oldest decisions, once there are many. Whoever forgot one sooner
 *     would take a second `decide` or `skip` of the same entry for the first.
 */
import type { Vote } from './event.ts';
import { index as toIndex, type Index, type ManagerId } from './ids.ts';
import { sameVote } from './quorum.ts';

/** Ordered decisions that are remembered. */
const DECISIONS_MAX = 4096;

export type Mode = 'local' | 'reporting' | 'ordered';

interface Decision {
  readonly index: Index;
  readonly vote: Vote;
}

interface Ordered {
  /** Null: skipped. */
  readonly vote: Vote | null;
  /** The floor that it rests on. */
  readonly floor: Index;
}

export interface AgreementState {
  readonly mode: Mode;
  readonly round: Index;
  readonly floor: Index;
  readonly reports: readonly (readonly [ManagerId, Index])[];
  readonly decisions: readonly (readonly [Index, Ordered])[];
  readonly closed: Index;
}

export class Agreement {
  #mode: Mode = 'local';
  #round = toIndex(-1);
  #floor = toIndex(-1);
  #reports = new Map<ManagerId, Index>();
  #decisions = new Map<Index, Ordered>();
  /** Of what was decided up to here, nothing more is known. */
  #closed = toIndex(-1);

  get mode(): Mode {
    return this.#mode;
  }

  /** Index of the command that began the present round of reports. */
  get round(): Index {
    return this.#round;
  }

  /** Up to here entries are decided as some manager decided them. */
  get floor(): Index {
    return this.#floor;
  }

  begin(at: Index): void {
    this.#mode = 'reporting';
    this.#round = at;
    this.#reports = new Map();
  }

  report(manager: ManagerId, round: Index, decided: Index, view: Iterable<ManagerId>): void {
    if (this.#mode !== 'reporting' || round !== this.#round || this.#reports.has(manager)) return;
    this.#reports.set(manager, decided);
    let floor = toIndex(-1);
    for (const other of view) {
      const reported = this.#reports.get(other);
      if (reported === undefined) return;
      if (reported > floor) floor = reported;
    }
    this.#floor = floor;
    this.#mode = 'ordered';
    for (const [index, ordered] of this.#decisions) {
      if (ordered.vote !== null && ordered.floor > floor) this.#decisions.delete(index);
    }
  }

  /** Whether the order may decide it now. */
  open(index: Index): boolean {
    if (this.#decisions.has(index) || (index > 0 && index <= this.#closed)) return false;
    return index === 0 ? this.#floor < 0 : this.#mode === 'ordered' && index > this.#floor;
  }

  /** What takes effect of a `decide` asked for in `round`: nothing rests on a decision that another one came before. */
  decide(round: Index, votes: readonly Decision[]): Decision[] {
    const taken: Decision[] = [];
    for (const decision of votes) {
      const { index, vote } = decision;
      // Its voters executed what was decided before it then, and that may be open again.
      if (round !== this.#round && index > 0) break;
      if (this.open(index)) {
        this.#keep(index, { vote, floor: this.#floor });
        taken.push(decision);
        continue;
      }
      const known = this.#decisions.get(index)?.vote ?? null;
      if (known === null || !sameVote(known, vote)) break;
    }
    return taken;
  }

  /** Whether the order has decided it. */
  has(index: Index): boolean {
    return this.#decisions.has(index);
  }

  skip(index: Index): boolean {
    if (index === 0 || !this.open(index)) return false;
    this.#keep(index, { vote: null, floor: this.#floor });
    return true;
  }

  #keep(index: Index, ordered: Ordered): void {
    this.#decisions.set(index, ordered);
    if (this.#decisions.size <= DECISIONS_MAX) return;
    for (const oldest of this.#decisions.keys()) {
      if (oldest === 0) continue;
      this.#decisions.delete(oldest);
      if (oldest > this.#closed) this.#closed = oldest;
      return;
    }
  }

  settle(): void {
    this.#mode = 'local';
  }

  state(): AgreementState {
    return {
      mode: this.#mode,
      round: this.#round,
      floor: this.#floor,
      reports: [...this.#reports],
      decisions: [...this.#decisions],
      closed: this.#closed,
    };
  }

  restore({ mode, round, floor, reports, decisions, closed }: AgreementState): void {
    this.#mode = mode;
    this.#round = round;
    this.#floor = floor;
    this.#reports = new Map(reports);
    this.#decisions = new Map(decisions);
    this.#closed = closed;
  }
}
