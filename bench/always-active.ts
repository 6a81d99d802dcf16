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
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { newToken } from '../src/admin/access.ts';
import { createAdmin } from '../src/admin/admin.ts';
import { Observer } from '../src/cli/status.ts';
import type { Command } from '../src/core/entry.ts';
import { replicaId } from '../src/core/index.ts';
import type { Domain, DomainSpec, Driver } from '../src/domains/domain.ts';
import { createProcessDriver } from '../src/domains/process/driver.ts';
import { createFront } from '../src/front/front.ts';
import type { Client } from '../src/manager/in-work.ts';
import { Manager } from '../src/manager/manager.ts';
import { type ManagerOptions, REFRESH } from '../src/manager/options.ts';
import { EmbeddedOrderer } from '../src/ordering/embedded.ts';
import type { Orderer } from '../src/ordering/orderer.ts';
import { Store } from '../src/ordering/store.ts';
import { decodeEntry, encodeBare, encodeCommand, SEED_BYTES } from '../src/wire/entry.ts';

const FAULTS = 1;
/** No replica that the manager names itself gets that far. */
const IDS: readonly string[] = Array.from({ length: 2 * FAULTS + 1 }, (_, i) => `r${1_000_000 + i}`);
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const MARK_POLL_MS = 100;
/** The slowest of three is never waited for, and never replaced while it is measured. */
const NEVER_MS = 1_000_000_000;

class AllActiveOrderer<Tag> implements Orderer<Tag> {
  readonly #inner: Orderer<Tag>;
  #booted = false;
  onOrdered: Orderer<Tag>['onOrdered'] = () => {};
  onDurable: Orderer<Tag>['onDurable'] = () => {};

  constructor(inner: Orderer<Tag>) {
    this.#inner = inner;
    inner.onOrdered = (index, entry, tag) => this.onOrdered(index, entry, tag);
    inner.onDurable = (index) => this.onDurable(index);
  }

  append(entry: Buffer, tag: Tag | null): void {
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
  readonly isolation: string;
  readonly privateNetwork: boolean;
  readonly #inner: Driver;
  readonly #waiting: (() => void)[] = [];

  constructor(inner: Driver) {
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

interface Call {
  readonly folder: string;
  readonly command: readonly string[];
  readonly state: string;
  /** A new folder. */
  readonly data: string;
  readonly port: number;
  readonly adminPort: number;
}

/** The limits are the product's own defaults. */
function managerOptions({ folder, command, state, data }: Call): ManagerOptions {
  return {
    faults: FAULTS,
    version: { variants: [{ folder, command, env: {}, state: [state] }], digest: '', check: async () => [] },
    dataFolder: data,
    limits: { memoryBytes: GIB, processes: 256 },
    deadline: { floorMs: NEVER_MS, ceilingMs: NEVER_MS, factor: 1 },
    patience: { graceMs: NEVER_MS, overtimeMs: NEVER_MS },
    refresh: REFRESH,
    recovery: null,
    requestTimeoutMs: 30_000,
    startTimeoutMs: NEVER_MS,
    replyBytesMax: 8 * MIB,
    frameBytesMax: 73 * MIB,
    stateBytesMax: 16 * GIB,
    hook: { command: [], folder, webhook: null },
    log: (line) => console.error(line),
  };
}

/** Orders a mark when the manager's own rule would have it, which wants suspended replicas. */
function keepMarking(manager: Manager, orderer: Orderer<Client>): void {
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

/** Throws an Error when a flag is missing. */
function parseCall(): Call {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    options: { folder: text, state: text, data: text, listen: text, admin: text },
    allowPositionals: true,
  });
  const { folder, state, data, listen, admin } = values;
  if (folder === undefined || state === undefined || data === undefined) {
    throw new Error('Wanted: --folder --state --data --listen PORT --admin PORT -- command...');
  }
  return { folder, state, data, command: positionals, port: Number(listen), adminPort: Number(admin) };
}

async function main(): Promise<void> {
  const call = parseCall();
  mkdirSync(join(call.data, 'domains'), { recursive: true });
  const { store, opened } = await Store.open(join(call.data, 'store.db'), 'always-active');
  const driver = new ThreeDomains(await createProcessDriver());
  const orderer = new AllActiveOrderer(new EmbeddedOrderer<Client>(store, 0));
  const manager = new Manager(managerOptions(call), { driver, store, orderer, opened });
  const observer = new Observer(FAULTS);
  const front = createFront(
    {
      bodyBytesMax: MIB,
      unreadBytesMax: 256 * MIB,
      admission: {
        inFlight: 256,
        inFlightBytes: 32 * MIB,
        waiting: 2048,
        waitingBytes: 64 * MIB,
      },
    },
    { ready: () => observer.ready(), submit: (key, request, done) => manager.submit(key, request, done) },
  );
  const api = createAdmin(observer, newToken(), '127.0.0.1');
  manager.onHalt = (error) => {
    console.error(error.message);
    process.exit(1);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      driver.close();
      void manager.close(AbortSignal.abort()).then(() => process.exit(0));
    });
  }
  observer.watch(manager);
  manager.start(opened);
  front.listen(call.port, '127.0.0.1');
  api.listen(call.adminPort, '127.0.0.1');
  keepMarking(manager, orderer);
}

await main();
