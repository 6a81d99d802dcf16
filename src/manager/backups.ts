/**
 * Backups of a group that runs, into its data folder: of all that was acknowledged.
 *
 * U1. One at a time, and none goes on when the group ends.
 */
import { makeBackup, type MadeBackup } from '../backup/make.ts';
import { SpareError } from '../errors.ts';
import type { Store } from '../ordering/store.ts';
import type { ManagerOptions } from './options.ts';
import type { Snapshots } from './snapshots.ts';

type BackupOptions = Pick<ManagerOptions, 'dataFolder' | 'faults'>;

export class Backups {
  readonly #options: BackupOptions;
  readonly #store: Store;
  readonly #snapshots: Snapshots;
  readonly #ending: AbortSignal;
  #underWay: Promise<MadeBackup> | null = null;

  /** `ending`: aborted when the group ends. */
  constructor(options: BackupOptions, store: Store, snapshots: Snapshots, ending: AbortSignal) {
    this.#options = options;
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
      const { dataFolder, faults } = this.#options;
      this.#underWay = makeBackup(this.#store, dataFolder, faults, signal);
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
