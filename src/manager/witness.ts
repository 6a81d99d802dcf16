/** Writes up what the core found, while the bytes of the votes and the replica's last words are still at hand. */
import type { Effect, SkipReason } from '../core/index.ts';
import { readableBefore, replyDifference, replyPlace, updateDifference } from '../evidence/difference.ts';
import type { Evidence } from '../evidence/evidence.ts';
import type { Finds } from '../evidence/exhibits.ts';
import type { Incident } from '../evidence/incidents.ts';
import { UPDATE_TOO_LARGE } from '../wire/channel.ts';
import type { Ballots, CastVote } from './ballots.ts';
import type { Fleet } from './fleet.ts';
import type { InWork } from './in-work.ts';
import type { Snapshots } from './snapshots.ts';
import type { UpdateLog } from './updates.ts';

/** Characters of console output on an incident's line; its folder has all. */
const CONSOLE_CHARACTERS = 2000;

/** The largest state that is made anew to say which rows differ. */
const COMPARED_BYTES_MAX = 256 * 1024 ** 2;

const SKIPPED =
  'skipped: it had no effect, its client was told so, the replicas went back to the verified state';
const REFUSED = 'no replica is started until the change is undone or accepted';
const EXPELLED = 'expelled and destroyed; a clean replica takes its place';
const GIVEN_UP = 'destroyed, with all of the new version unless that has just taken over';

type Fault = Extract<Effect, { type: 'incident' }>;
type Skip = Extract<Effect, { type: 'skipped' }>;

/** Where what is written up is found. */
export interface WitnessParts {
  readonly fleet: Fleet;
  readonly snapshots: Snapshots;
  readonly updates: UpdateLog;
  readonly work: InWork;
}

export class Witness {
  readonly #evidence: Evidence;
  readonly #work: InWork;
  readonly #fleet: Fleet;
  readonly #updates: UpdateLog;
  readonly #snapshots: Snapshots;
  readonly #room: () => number;
  /** What the latest suspect printed last. */
  lastWords = '';

  /** `room`: as of `Evidence`. */
  constructor(evidence: Evidence, parts: WitnessParts, room: () => number) {
    this.#evidence = evidence;
    this.#room = room;
    this.#work = parts.work;
    this.#fleet = parts.fleet;
    this.#updates = parts.updates;
    this.#snapshots = parts.snapshots;
  }

  /** Null when it was not started, because what it would start from has changed: that is the incident, not each such start. */
  fault(effect: Fault): Incident | null {
    const { replica, kind, index } = effect.fault;
    if (this.#fleet.isRefused(replica)) return null;
    const console = this.#fleet.console(replica);
    this.lastWords = console;
    return this.#evidence.add(
      {
        index,
        replica,
        variant: effect.variant,
        kind,
        at: new Date().toISOString(),
        what: whatHappened(effect, this.#work.ballots, this.#fleet.why(replica)),
        done: this.#fleet.isNew(replica) ? GIVEN_UP : EXPELLED,
        console: console.slice(-CONSOLE_CHARACTERS),
      },
      this.#finds(index, effect.votes?.decided ?? null, console),
    );
  }

  imageChanged(what: string, index: number): Incident {
    const at = new Date().toISOString();
    const nobody = { index, replica: null, variant: null, kind: 'image', at, console: '' } as const;
    return this.#evidence.add({ ...nobody, what, done: REFUSED }, this.#finds(index, null, ''));
  }

  /** Null when it was written up before a restart. */
  skipped({ index, reason }: Skip): Incident | null {
    const latest = this.#evidence.incidents.latest();
    const at = latest.filter((incident) => incident.index === index);
    if (at.some(({ kind }) => kind === reason)) return null;
    const ended = at.filter(({ kind }) => kind === 'crash' || kind === 'protocol');
    return this.#evidence.add(
      {
        index,
        replica: null,
        variant: null,
        kind: reason,
        at: new Date().toISOString(),
        what: whySkipped(reason, index, this.#work.ballots, ended),
        done: SKIPPED,
        console: '',
      },
      this.#finds(index, null, ''),
    );
  }

  /** What is written just before the place in which the starts of two replicas differ; empty where nothing of it can be read. */
  startsDifferBehind(): string {
    const [one, other] = (disagreement(0, this.#work.ballots) ?? []).map(({ vote }) =>
      this.#work.ballots.update(0, vote.update),
    );
    return one && other ? readableBefore(one, other) : '';
  }

  /** What a client is told of a skip, as far as it concerns nobody's secrets: no byte of a reply that was not decided. */
  hint(index: number): string {
    const found = this.#evidence.incidents
      .latest()
      .findLast((known) => known.index === index && known.replica === null && known.kind !== 'image');
    const pair = found?.kind === 'no-agreement' ? disagreement(index, this.#work.ballots) : null;
    const place = pair === null ? [] : [placeOf(index, ...pair, this.#work.ballots)];
    if (found?.kind === 'poison' && found.what.endsWith(UPDATE_TOO_LARGE)) place.push(UPDATE_TOO_LARGE);
    return [...place, ...(found === undefined ? [] : [`incident ${found.id}`])].join('; ');
  }

  #finds(index: number, decided: Finds['decided'], console: string): Finds {
    return {
      entry: this.#work.entry(index),
      votes: this.#work.ballots.votes(index),
      decided,
      bytes: (kind, digest) => this.#work.ballots[kind](index, digest),
      stateBefore: (target) => {
        const after = this.#snapshots.index;
        // A copy of it is written beside the group.
        const bytesMax = Math.min(COMPARED_BYTES_MAX, this.#room());
        const unlinked = this.#snapshots.linkBefore(index, bytesMax, target);
        return unlinked ?? this.#updates.onDisk(after + 1, index - 1);
      },
      console,
    };
  }
}

/** A fault in a sentence for a person. `why`: what is known of the end of the replica. */
function whatHappened({ fault, votes }: Fault, ballots: Ballots, why: string): string {
  const { kind, index } = fault;
  if (kind === 'late') return 'no answer within the deadline';
  if (kind === 'crash') return why;
  if (kind === 'protocol') return why === '' ? 'it sent what was not asked for, or more than it may' : why;
  if (kind === 'state' || votes === null) return 'the digest of its state differs';
  return differenceOf(index, kind, votes.cast, votes.decided, ballots) ?? `its ${kind} differs`;
}

function whySkipped(reason: SkipReason, index: number, ballots: Ballots, ended: readonly Incident[]): string {
  switch (reason) {
    case 'poison': {
      const replicas = ended.map(({ replica }) => replica).join(', ');
      // Of f+1 that say the same at least one is sound.
      const why = new Set(ended.map(({ what }) => what));
      // None is known in a restored group.
      const known = ended.length === 0 ? [] : [replicas, ...(why.size === 1 ? why : [])];
      return ['it ended every replica that executed it', ...known].join(': ');
    }
    case 'timeout':
      return 'no replica answered it in time';
    case 'no-agreement': {
      const pair = disagreement(index, ballots);
      if (pair === null) return 'the replicas do not agree on it';
      const [first, other] = pair;
      const kind = other.vote.reply === first.vote.reply ? 'update' : 'reply';
      const difference = differenceOf(index, kind, other.vote, first.vote, ballots);
      return `${other.replica} against ${first.replica}: ${difference ?? `the ${kind} differs`}`;
    }
  }
}

/** The first vote, and the first that differs from it. */
function disagreement(index: number, ballots: Ballots): [CastVote, CastVote] | null {
  const [first, ...others] = ballots.votes(index);
  if (first === undefined) return null;
  const { reply, update } = first.vote;
  const other = others.find(({ vote }) => vote.reply !== reply || vote.update !== update);
  return other === undefined ? null : [first, other];
}

function placeOf(index: number, { vote: a }: CastVote, { vote: b }: CastVote, ballots: Ballots): string {
  const [one, other] = [ballots.reply(index, a.reply), ballots.reply(index, b.reply)];
  if (a.reply === b.reply || one === null || other === null) return 'what it changed in the state differs';
  return replyPlace(one, other);
}

/** Null where the bytes are not at hand. */
function differenceOf(
  index: number,
  kind: 'reply' | 'update',
  is: CastVote['vote'],
  instead: CastVote['vote'],
  ballots: Ballots,
): string | null {
  const one = ballots[kind](index, is[kind]);
  const other = ballots[kind](index, instead[kind]);
  if (one === null || other === null) return null;
  return kind === 'update' ? updateDifference(one, other) : replyDifference(one, other);
}
