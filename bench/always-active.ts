/**
 * What Spare is compared with: 2f+1 replicas that all execute and vote, with f=1. No such mode exists in the product;
 * here the product's own manager is run with two parts in front of its own:
 *
 * - an order in which the manager's `boot` command is followed by one that names three active replicas instead;
 * - a driver that starts the domains of these and leaves the manager waiting for all others.
 *
 * Nothing is suspended, woken or refreshed; marks (digests of the state) are ordered as often as under `spare run`.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createAdmin } from '../src/admin/admin.ts';
import { readConfig, settle, type Settings } from '../src/cli/config.ts';
import { clearDomains, prepareDataFolder, STORE_FILE } from '../src/cli/data-folder.ts';
import { Observer } from '../src/cli/status.ts';
import type { Command } from '../src/core/entry.ts';
import { replicaId } from '../src/core/index.ts';
import type { Domain, DomainSpec, Driver } from '../src/domains/domain.ts';
import { createProcessDriver } from '../src/domains/process/driver.ts';
import { createFront } from '../src/front/front.ts';
import { Manager } from '../src/manager/manager.ts';
import type { ManagerOptions } from '../src/manager/options.ts';
import { EmbeddedOrderer } from '../src/ordering/embedded.ts';
import type { Orderer } from '../src/ordering/orderer.ts';
import { Store } from '../src/ordering/store.ts';
import { decodeEntry, encodeBare, encodeCommand, SEED_BYTES } from '../src/wire/entry.ts';

const FAULTS = 1;
/** No replica that the manager names itself gets that far. */
const IDS: readonly string[] = Array.from({ length: 2 * FAULTS + 1 }, (_, i) => `r${1_000_000 + i}`);
const MARK_POLL_MS = 100;
const REFRESH = {
  entries: 512,
  bytes: 4 * 1024 ** 2,
  ageMs: 60_000,
  ordered: 20_000,
  checkpointBytes: 32 * 1024 ** 2,
};
/** The slowest of three is never waited for, and never replaced while it is measured. */
const NEVER_MS = 1_000_000_000;

class AllActiveOrderer implements Orderer {
  readonly #inner: Orderer;
  #booted = false;
  onOrdered: Orderer['onOrdered'] = () => {};
  onDurable: Orderer['onDurable'] = () => {};

  constructor(inner: Orderer) {
    this.#inner = inner;
    inner.onOrdered = (index, entry, tag) => this.onOrdered(index, entry, tag);
    inner.onDurable = (index) => this.onDurable(index);
  }

  append(entry: Buffer, tag: number | null): void {
    this.#inner.append(entry, tag);
    if (!this.#booted) this.#afterBoot(entry);
  }

  #afterBoot(entry: Buffer): void {
    const { kind, timeMs, seed, body } = decodeEntry(entry);
    if (kind !== 'command') return;
    const command = JSON.parse(body.toString()) as Command;
    if (command.type !== 'boot') return;
    this.#booted = true;
    const members = IDS.map((id) => {
      return { replica: replicaId(id), manager: command.manager, variant: 0, role: 'active' as const };
    });
    this.#inner.append(encodeCommand({ ...command, members }, timeMs, seed), null);
  }
}

class ThreeDomains implements Driver {
  readonly name: string;
  readonly isolation: string;
  readonly privateNetwork: boolean;
  readonly #inner: Driver;
  readonly #waiting: (() => void)[] = [];

  constructor(inner: Driver) {
    this.name = inner.name;
    this.isolation = inner.isolation;
    this.privateNetwork = inner.privateNetwork;
    this.#inner = inner;
  }

  async start(spec: DomainSpec): Promise<Domain> {
    if (IDS.includes(spec.id)) return await this.#inner.start(spec);
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    throw new Error('only three domains are started here');
  }

  /** The manager waits for domains that are starting. */
  close(): void {
    for (const resolve of this.#waiting) resolve();
  }
}

function managerOptions(settings: Settings): ManagerOptions {
  const { folder, state, variants, limits, data } = settings;
  return {
    faults: FAULTS,
    variants: variants.map(({ command, env }) => ({ folder, command, env, state })),
    dataFolder: data,
    limits: { memoryBytes: limits.memoryBytes, processes: limits.processes },
    deadline: { floorMs: NEVER_MS, ceilingMs: NEVER_MS, factor: 1 },
    refresh: REFRESH,
    requestTimeoutMs: limits.requestTimeoutMs,
    startTimeoutMs: NEVER_MS,
    replyBytesMax: limits.replyBytes,
    frameBytesMax: limits.replyBytes + 64 * 1024 ** 2 + 64 * 1024,
    stateBytesMax: 16 * 1024 ** 3,
    log: (line) => console.error(line),
  };
}

/** Orders a mark when the manager's own rule would have it, which wants suspended replicas. */
function keepMarking(manager: Manager, orderer: Orderer): void {
  let marked = 0;
  setInterval(() => {
    const { ordered, decided, updateLog } = manager.view();
    const due =
      updateLog.entries >= REFRESH.entries ||
      updateLog.bytes >= REFRESH.bytes ||
      ordered - marked >= REFRESH.ordered;
    if (!due || decided < marked) return;
    marked = ordered + 1;
    orderer.append(encodeBare('mark', Date.now(), randomBytes(SEED_BYTES)), null);
  }, MARK_POLL_MS);
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { config: text, data: text, listen: text, admin: text } });
  const { config, folder } = await readConfig(values.config);
  const { data, listen, admin } = values;
  if (data === undefined || listen === undefined || admin === undefined || existsSync(data)) {
    throw new Error('Wanted: --config FILE --data NEW-FOLDER --listen HOST:PORT --admin HOST:PORT');
  }
  const settings = settle({ ...config, data, listen, admin }, folder);
  prepareDataFolder(data);
  const { store, opened } = await Store.open(join(data, STORE_FILE), 'always-active');
  clearDomains(data);
  const driver = new ThreeDomains(await createProcessDriver());
  const orderer = new AllActiveOrderer(new EmbeddedOrderer(store, 0));
  const manager = new Manager(managerOptions(settings), { driver, store, orderer, opened });
  const observer = new Observer(FAULTS);
  const front = createFront(
    {
      bodyBytesMax: settings.limits.bodyBytes,
      admission: {
        inFlight: 256,
        inFlightBytes: 32 * 1024 ** 2,
        waiting: 2048,
        waitingBytes: 64 * 1024 ** 2,
      },
    },
    { ready: observer.answering, submit: (key, request, done) => manager.submit(key, request, done) },
  );
  const api = createAdmin({
    status: observer.status,
    incidents: () => manager.incidents.latest(),
    ready: observer.answering,
  });
  manager.onHalt = (error) => {
    console.error(error.message);
    process.exit(1);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      driver.close();
      void manager.close().then(() => process.exit(0));
    });
  }
  observer.watch(manager);
  manager.start(opened);
  front.listen(settings.listen.port, settings.listen.host);
  api.listen(settings.admin.port, settings.admin.host);
  keepMarking(manager, orderer);
}

await main();
