/**
 * Backups of a group that runs, into its data folder: of all that was acknowledged.
 *
 * U1. One at a time, and none goes on when the group ends.
 */
import { makeBackup, type MadeBackup } from '../backup/make.ts';
import { SpareError } from '../errors.ts';
import type { Store } from '../ordering/store.ts';
import type { Snapshots } from './snapshots.ts';

export class Backups {
  readonly #dataFolder: string;
  readonly #store: Store;
  readonly #snapshots: Snapshots;
  readonly #ending: AbortSignal;
  #underWay: Promise<MadeBackup> | null = null;

  /** `ending`: aborted when the group ends. */
  constructor(dataFolder: string, store: Store, snapshots: Snapshots, ending: AbortSignal) {
    this.#dataFolder = dataFolder;
    this.#store = store;
    this.#snapshots = snapshots;
    this.#ending = ending;
  }

  /** `unwanted`: nobody waits for it any more. Throws a `SpareError` when it cannot be made now. */
  async make(unwanted: AbortSignal): Promise<MadeBackup> {
    if (this.#underWay !== null) {
      throw new SpareError('backup-under-way', 'A backup is being made already.', { hint: 'Wait for it.' });
    }
    try {
      using _ = this.#snapshots.hold();
      const signal = AbortSignal.any([unwanted, this.#ending]);
      this.#underWay = makeBackup(this.#store, this.#dataFolder, true, signal);
      return await this.#underWay;
    } finally {
      this.#underWay = null;
    }
  }

  /** Resolves once nothing is being made any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#underWay]);
  }
}
