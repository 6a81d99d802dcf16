/** What the admin API shows and does, and whether the group is ready: of a manager that may not be there yet. */
import { setTimeout as delay } from 'node:timers/promises';
import type { AdminSource, ReplicaStatus, Status } from '../admin/admin.ts';
import type { MadeBackup } from '../backup/make.ts';
import type { CoreView } from '../core/index.ts';
import type { Domain, DomainUsage } from '../domains/domain.ts';
import { SpareError } from '../errors.ts';
import type { Incident } from '../evidence/incidents.ts';
import type { CaseView } from '../evidence/read.ts';
import type { Manager } from '../manager/manager.ts';
import type { Rotated } from '../manager/rejuvenation.ts';
import type { Deployed } from './deploy.ts';

const POLL_MS = 20;

async function usageOf(domain: Domain | null): Promise<DomainUsage> {
  const none = { cpuSeconds: 0, residentBytes: 0, processes: 0 };
  return domain === null ? none : await domain.usage().catch(() => none);
}

async function statusOf(place: CoreView['replicas'][number], manager: Manager): Promise<ReplicaStatus> {
  const domain = manager.domainOf(place.id);
  const usage = await usageOf(domain);
  const ageSeconds = (performance.now() - manager.startedAt(place.id)) / 1000;
  const { isolation } = manager;
  const outdated = manager.isOutdated(place.id);
  return { ...place, pid: domain?.pid ?? null, isolation, ...usage, ageSeconds, outdated };
}

function notYet(what: string): SpareError {
  return new SpareError('group-not-whole', `${what} yet: the group is starting.`, {
    hint: 'Try again in a few seconds.',
  });
}

export class Observer implements AdminSource {
  readonly #faults: number;
  #manager: Manager | null = null;
  #deploy: (() => Promise<Deployed>) | null = null;
  #closed = false;

  constructor(faults: number) {
    this.#faults = faults;
  }

  /** `deploy`: null where there is only ever one version. */
  watch(manager: Manager, deploy: (() => Promise<Deployed>) | null = null): void {
    this.#manager = manager;
    this.#deploy = deploy;
  }

  /** Enough replicas run to decide, and it does not end. */
  ready(): boolean {
    const manager = this.#manager;
    return manager !== null && !manager.ended && manager.health.answering();
  }

  /** Resolves once the group is whole, or is closed. Throws what `halted` resolves with. */
  async untilWhole(halted: Promise<SpareError>): Promise<void> {
    let failure: SpareError | null = null;
    void halted.then((error) => (failure = error));
    while (!this.#closed && this.#manager?.health.whole() !== true) {
      await delay(POLL_MS);
      if (failure !== null) throw failure as SpareError;
    }
  }

  console(replica: string): string {
    if (this.#manager === null) throw notYet('There is no replica');
    return this.#manager.console(replica);
  }

  async recover(replica: string): Promise<Rotated> {
    if (this.#manager === null) throw notYet('No replica can be replaced');
    return await this.#manager.recover(replica);
  }

  async deploy(): Promise<Deployed> {
    if (this.#deploy === null) throw notYet('Nothing can be deployed');
    return await this.#deploy();
  }

  async backup(unwanted: AbortSignal): Promise<MadeBackup> {
    if (this.#manager === null) throw notYet('Nothing can be backed up');
    return await this.#manager.backups.make(unwanted);
  }

  incidents(): readonly Incident[] {
    return this.#manager?.evidence.incidents.latest() ?? [];
  }

  async incident(id: number): Promise<CaseView | null> {
    return (await this.#manager?.evidence.read(id)) ?? null;
  }

  close(): void {
    this.#closed = true;
  }

  async status(): Promise<Status> {
    const manager = this.#manager;
    const faults = this.#faults;
    if (manager === null) {
      const updateLog = { entries: 0, bytes: 0 };
      const rotations = { done: 0, underWay: null };
      const nothing = { image: null, ordered: -1, decided: -1, replicas: [], updateLog, incidents: 0 };
      return { faults, ...nothing, rotations };
    }
    const { ordered, decided, updateLog, replicas: known } = manager.view();
    // Where all ends, the core does not hear any more that they are gone.
    const places = manager.ended ? [] : known;
    const replicas = await Promise.all(places.map((place) => statusOf(place, manager)));
    const incidents = manager.evidence.incidents.count;
    const { image, rotations } = manager;
    return { faults, image, ordered, decided, replicas, updateLog, incidents, rotations };
  }
}
