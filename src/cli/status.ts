/** What the admin API shows, and whether the group is ready: both read off the manager, which may not be there yet. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ReplicaStatus, Status } from '../admin/admin.ts';
import type { MadeBackup } from '../backup/make.ts';
import type { CoreView } from '../core/index.ts';
import type { Domain } from '../domains/domain.ts';
import { SpareError } from '../errors.ts';
import type { Manager } from '../manager/manager.ts';
import type { Rotated } from '../manager/rejuvenation.ts';

import type { Settings } from './config.ts';
import type { Deployed, Deploys } from './deploy.ts';

const POLL_MS = 20;

async function usageOf(domain: Domain | null): Promise<{ cpuSeconds: number; residentBytes: number }> {
  const none = { cpuSeconds: 0, residentBytes: 0 };
  return domain === null ? none : await domain.usage().catch(() => none);
}

async function statusOf(place: CoreView['replicas'][number], manager: Manager): Promise<ReplicaStatus> {
  const domain = manager.domainOf(place.id);
  const usage = await usageOf(domain);
  const ageSeconds = (performance.now() - manager.startedAt(place.id)) / 1000;
  return { ...place, pid: domain?.pid ?? null, isolation: manager.isolation, ...usage, ageSeconds };
}

export class Observer {
  readonly #faults: number;
  #manager: Manager | null = null;
  #deploys: Deploys | null = null;
  #closed = false;

  constructor(faults: number) {
    this.#faults = faults;
  }

  /** `deploys`: null where there is only ever one version. */
  watch(manager: Manager, deploys: Deploys | null = null): void {
    this.#manager = manager;
    this.#deploys = deploys;
  }

  /** Enough replicas run to decide. */
  readonly answering = (): boolean => this.#manager?.answering() ?? false;

  /** Resolves once the group is whole, or is closed. Throws what `halted` resolves with. */
  async untilWhole(halted: Promise<SpareError>): Promise<void> {
    let failure: SpareError | null = null;
    void halted.then((error) => (failure = error));
    while (!this.#closed && this.#manager?.whole() !== true) {
      await delay(POLL_MS);
      if (failure !== null) throw failure as SpareError;
    }
  }

  /** For the admin API, which may be asked before there is a group. */
  readonly recover = async (replica: string): Promise<Rotated> => {
    if (this.#manager !== null) return await this.#manager.recover(replica);
    throw new SpareError('group-not-whole', 'No replica can be replaced yet: the group is starting.', {
      hint: 'Try again in a few seconds.',
    });
  };

  readonly deploy = async (reload: () => Promise<Settings>): Promise<Deployed> => {
    if (this.#manager !== null && this.#deploys !== null) {
      return await this.#deploys.deploy(this.#manager, await reload());
    }
    throw new SpareError('group-not-whole', 'Nothing can be deployed yet: the group is starting.', {
      hint: 'Try again in a few seconds.',
    });
  };

  /** The same. */
  readonly backup = async (): Promise<MadeBackup> => {
    if (this.#manager !== null) return await this.#manager.backup();
    throw new SpareError('group-not-whole', 'Nothing can be backed up yet: the group is starting.', {
      hint: 'Try again in a few seconds.',
    });
  };

  close(): void {
    this.#closed = true;
  }

  readonly status = async (): Promise<Status> => {
    const manager = this.#manager;
    const faults = this.#faults;
    if (manager === null) {
      const updateLog = { entries: 0, bytes: 0 };
      const rotations = { done: 0, underWay: null };
      return { faults, ordered: -1, decided: -1, replicas: [], updateLog, incidents: 0, rotations };
    }
    const { ordered, decided, updateLog, replicas: places } = manager.view();
    const replicas = await Promise.all(places.map((place) => statusOf(place, manager)));
    const incidents = manager.evidence.incidents.latest().length;
    return { faults, ordered, decided, replicas, updateLog, incidents, rotations: manager.rotations };
  };
}
