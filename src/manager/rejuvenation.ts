/**
 * Proactive recovery: when which replica is replaced by a clean one although nothing seems wrong with it. The protocol of it is
 * the core's (`core/rotating.ts`); here are the schedule and what an operator asks for.
 *
 * The schedule is nothing but the ages of the replicas: one that is a period old is due. A restart makes all of them anew, so
 * there is nothing to be remembered over it; replacements after faults fit in by themselves.
 *
 * J1. One at a time, begun only while the group is whole, no suspicion lasts, and a clean one may be started.
 * J2. The oldest goes first, and between two that were due lies their share of `spreadMs` at least. So a replica is younger
 *     than two periods, but for what repairs take.
 * J3. What was begun is asked for until the replica is gone, also after a suspicion; it is over once the group is whole, or none may
 *     start that would make it so.
 * J4. What a service read when it started, and keeps, is as old as its replica. So a passive one is due after minutes once some of that
 *     is known to have changed, and after an hour in any case; and who takes over on schedule is of the last minutes. Less often where
 *     replacing one takes more than a few seconds.
 */
import type { ReplicaId } from '../core/index.ts';
import { SpareError } from '../errors.ts';

export interface RecoveryOptions {
  /** The age at which a replica is replaced. */
  readonly everyMs: number;
  /** How long it takes at least to replace all of them, when they are due at once; at most `everyMs`. */
  readonly spreadMs: number;
}

export interface Rotated {
  readonly replica: ReplicaId;
  /** Who took over, if the replica was active. */
  readonly by: ReplicaId | null;
  /** The clean one. */
  readonly clean: ReplicaId;
  readonly seconds: number;
}

/** In a line for the operator. */
export function rotatedLine({ replica, by, clean, seconds }: Rotated): string {
  const next = by === null ? 'replaced' : `replaced by ${by}`;
  return `rotated    ${replica} ${next}, clean ${clean} asleep, after ${seconds.toFixed(1)} s`;
}

/** The group, as far as it matters here. */
export interface Rotatable {
  /** All replicas of the version that runs that have a domain, oldest first, and when that was started. */
  readonly births: () => Iterable<readonly [ReplicaId, number]>;
  readonly isActive: (replica: ReplicaId) => boolean;
  /** Whether its service read something at its start that has changed, and a clean one would know. */
  readonly isOutdated: (replica: ReplicaId) => boolean;
  /** 2f+2 replicas, none of them starting, and no suspicion. */
  readonly isCalm: () => boolean;
  /** Whether a clean one could be started. Throws a `SpareError` when not. */
  readonly check: () => Promise<unknown>;
  readonly rotate: (replica: ReplicaId) => void;
  readonly onRotated: (rotated: Rotated) => void;
}

const PASSIVE_MS = 3_600_000;
/** The same for one that is outdated: some are by each request, as who reads at its start what all requests change. */
const OUTDATED_MS = 300_000;
/** The age up to which one takes over on schedule. */
const FRESH_MS = 600_000;
/** So many times as long as it takes to replace one passes at least between two times that a passive one is. */
const PASSIVE_PAUSE = 60;

/** As often a rotation is tried that must not be, because no clean replica may be started. */
const RETRY_MS = 30_000;

interface Due {
  readonly replica: ReplicaId;
  /** How long none that is a period old may follow. */
  readonly gapMs: number;
}

interface Current {
  readonly replica: ReplicaId;
  readonly beganAt: number;
  readonly active: ReadonlySet<ReplicaId>;
  readonly done: (rotated: Rotated) => void;
  readonly failed: (error: SpareError) => void;
}

function groupEnded(when: string): SpareError {
  const hint = 'All replicas of the next start are new.';
  return new SpareError('admin-failed', `The group ended ${when}.`, { hint });
}

export function unknownReplica(name: string, known: readonly string[]): SpareError {
  return new SpareError('replica-unknown', `There is no replica ${JSON.stringify(name)}.`, {
    hint: `There are: ${known.join(', ')}. A replica that was replaced never comes back under its name.`,
  });
}

export class Rejuvenation {
  readonly #options: RecoveryOptions | null;
  readonly #size: number;
  readonly #gapMs: number;
  readonly #group: Rotatable;
  #current: Current | null = null;
  /** Of those that are a period old. */
  #notBefore = -Infinity;
  #retryAt = -Infinity;
  /** How long the last rotation took. */
  #tookMs = 0;
  #checking = false;
  #count = 0;
  #ended = false;
  readonly #whenEnded = Promise.withResolvers<void>();

  /** `options`: null for none but what is asked for; `size`: of a whole group. */
  constructor(options: RecoveryOptions | null, size: number, group: Rotatable) {
    this.#options = options;
    this.#size = size;
    this.#gapMs = (options?.spreadMs ?? 0) / size;
    this.#group = group;
  }

  /** Rotations since the start. */
  get count(): number {
    return this.#count;
  }

  get underWay(): ReplicaId | null {
    return this.#current?.replica ?? null;
  }

  clock(now: number): void {
    if (this.#current !== null) return this.#pursue(now, this.#current);
    if (this.#options === null || this.#checking || now < this.#retryAt) return;
    const due = this.#due(now, this.#options);
    if (due === null || !this.#group.isCalm()) return;
    this.#checking = true;
    void this.#beginDue(now, due).finally(() => (this.#checking = false));
  }

  #due(now: number, { everyMs }: RecoveryOptions): Due | null {
    const all = [...this.#group.births()];
    const [oldest] = all;
    if (oldest === undefined) return null;
    const [replica, bornAt] = oldest;
    const isOld = now >= this.#notBefore && now >= bornAt + everyMs;
    const takesOver = isOld && this.#group.isActive(replica);
    const passive = all.find(
      ([id, at]) => !this.#group.isActive(id) && now - at >= this.#ageMaxMs(id, takesOver),
    );
    if (passive !== undefined) return { replica: passive[0], gapMs: 0 };
    return isOld ? { replica, gapMs: this.#gapMs } : null;
  }

  /** The age at which a passive one is due, or, if one of them `takesOver`, too old for that. */
  #ageMaxMs(replica: ReplicaId, takesOver: boolean): number {
    const [limitMs, pause] = takesOver ? [FRESH_MS, this.#size] : [PASSIVE_MS, PASSIVE_PAUSE];
    return Math.max(this.#group.isOutdated(replica) ? OUTDATED_MS : limitMs, pause * this.#tookMs);
  }

  async #beginDue(now: number, { replica, gapMs }: Due): Promise<void> {
    try {
      await this.#group.check();
    } catch {
      // It was reported by who found it, or a new version is about to take over.
      this.#retryAt = now + RETRY_MS;
      return;
    }
    // Meanwhile it may have been lost, and another one be in its place already.
    if (!this.#ids().includes(replica) || this.#current !== null || !this.#group.isCalm()) return;
    this.#notBefore = Math.max(this.#notBefore, now + gapMs);
    this.#begin(now, { replica, done: () => {}, failed: () => {} });
  }

  /** Resolves once it is over. Throws what `check` throws, `replica-unknown`, `rotation-under-way`, `group-not-whole`, `admin-failed`. */
  async recover(now: number, name: string): Promise<Rotated> {
    await Promise.race([this.#group.check(), this.#whenEnded.promise]);
    if (this.#ended) throw groupEnded(`before ${JSON.stringify(name)} was replaced`);
    const known = this.#ids();
    const replica = known.find((id) => id === name);
    if (replica === undefined) throw unknownReplica(name, known);
    if (this.#current !== null) {
      const message = `${replica} cannot be replaced now: ${this.#current.replica} is being replaced.`;
      const hint = 'Replicas are replaced one at a time. Try again in a few seconds.';
      throw new SpareError('rotation-under-way', message, { hint });
    }
    if (!this.#group.isCalm()) {
      throw new SpareError(
        'group-not-whole',
        `${replica} cannot be replaced now: the group is being repaired.`,
        {
          hint: 'A sound replica is taken out only while all others are there. See /status, and try again.',
        },
      );
    }
    return await new Promise((done, failed) => this.#begin(now, { replica, done, failed }));
  }

  #begin(now: number, asked: Pick<Current, 'replica' | 'done' | 'failed'>): void {
    this.#current = { ...asked, beganAt: now, active: this.#active() };
    this.#group.rotate(asked.replica);
  }

  /** A replica of the version that runs may not start: the clean one, where the old one is gone. The core goes on trying. */
  refused(error: SpareError): void {
    if (this.#current === null || this.#ids().includes(this.#current.replica)) return;
    const { replica, failed } = this.#current;
    this.#current = null;
    const message = `${replica} was taken out, and no clean replica may start: ${error.message}`;
    failed(new SpareError(error.code, message, { hint: error.hint }));
  }

  /** The group has ended. */
  end(): void {
    this.#ended = true;
    this.#whenEnded.resolve();
    if (this.#current === null) return;
    const { replica, failed } = this.#current;
    this.#current = null;
    failed(groupEnded(`while ${replica} was being replaced`));
  }

  /** Oldest first. */
  #ids(): ReplicaId[] {
    return [...this.#group.births()].map(([id]) => id);
  }

  #active(): Set<ReplicaId> {
    return new Set(this.#ids().filter((id) => this.#group.isActive(id)));
  }

  #pursue(now: number, { replica, beganAt, active, done }: Current): void {
    const ids = this.#ids();
    // The core forgets what cannot be in this moment, such as while the replica is being refreshed.
    if (ids.includes(replica)) return this.#group.rotate(replica);
    const clean = ids.at(-1);
    if (clean === undefined || !this.#group.isCalm()) return;
    this.#current = null;
    this.#count++;
    this.#tookMs = now - beganAt;
    const by = active.has(replica) ? [...this.#active()].find((id) => !active.has(id)) : undefined;
    const rotated = { replica, by: by ?? null, clean, seconds: (now - beganAt) / 1000 };
    this.#group.onRotated(rotated);
    done(rotated);
  }
}
