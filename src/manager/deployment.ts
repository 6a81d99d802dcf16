/**
 * Which version of the service the group runs, and the one that is to take over: what the core knows by number only.
 *
 * Y1. One deploy at a time; it ends when the new version has taken over, or when one of its replicas failed before, or the group ends.
 */
import { SpareError } from '../errors.ts';
import type { Version } from './options.ts';

interface UnderWay {
  readonly beganAt: number;
  readonly done: (seconds: number) => void;
  readonly failed: (error: SpareError) => void;
}

export function deployUnderWay(
  message = 'A new version cannot be deployed now: another one is about to take over.',
): SpareError {
  return new SpareError('deploy-under-way', message, { hint: 'Wait until that is done, and try again.' });
}

/** Of one that was accepted. */
export function notTakenOver(): SpareError {
  const message = 'The group ended before the new version had taken over.';
  return new SpareError('admin-failed', message, { hint: 'It is what the next start is from.' });
}

export class Deployment {
  readonly #hasStopped: () => boolean;
  readonly #versions = new Map<number, Version>();
  #number = 0;
  #underWay: UnderWay | null = null;

  /** `hasStopped`: whether the group may answer nothing more unless clean replicas come. */
  constructor(version: Version, hasStopped: () => boolean) {
    this.#hasStopped = hasStopped;
    this.#versions.set(0, version);
  }

  get current(): Version {
    const version = this.#versions.get(this.#number);
    if (version === undefined) throw new Error('there is always a version that runs');
    return version;
  }

  get isUnderWay(): boolean {
    return this.#underWay !== null;
  }

  /** The core's number of it; undefined for one that is gone. */
  version(number: number): Version | undefined {
    return this.#versions.get(number);
  }

  /** It has not taken over. */
  isNew(number: number): boolean {
    return number > this.#number;
  }

  /** `tell` has the core begin. Resolves with the seconds it took. Throws `deploy-under-way`, `deploy-failed`, `admin-failed`. */
  begin(now: number, version: Version, tell: () => void): Promise<number> {
    if (this.#underWay !== null) throw deployUnderWay();
    this.#versions.set(this.#number + 1, version);
    return new Promise((done, failed) => {
      this.#underWay = { beganAt: now, done, failed };
      tell();
    });
  }

  succeeded(now: number, number: number): void {
    this.#versions.delete(this.#number);
    this.#number = number;
    const ended = this.#underWay;
    this.#underWay = null;
    ended?.done((now - ended.beganAt) / 1000);
  }

  /** The group has ended. */
  end(): void {
    this.#underWay?.failed(notTakenOver());
    this.#underWay = null;
  }

  /** `why`: what is known of the replica that failed. */
  failed(why: string): void {
    this.#versions.delete(this.#number + 1);
    const ended = this.#underWay;
    this.#underWay = null;
    const message = `The new version did not take over: ${why}`;
    const old = this.#hasStopped()
      ? 'The old one has stopped. Undo the change on disk, so that it can be started again; or repair the new version, and deploy it again.'
      : 'The old one serves on. Repair the new version, and deploy it again.';
    const hint = `${old} It starts on the state as the old one leaves it, and what it writes there while it starts does not count.`;
    ended?.failed(new SpareError('deploy-failed', message, { hint }));
  }
}
