/**
 * `spare run`: brings a group up in an order in which each step can still refuse without leaving anything behind:
 * configuration, command, addresses, data folder, store, initial state, domains.
 */
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { createAdmin, type Status } from '../admin/admin.ts';
import type { Domain, Driver, ServiceImage } from '../domains/domain.ts';
import { findExecutable } from '../domains/process/executable.ts';
import { createProcessDriver } from '../domains/process/driver.ts';
import { SpareError } from '../errors.ts';
import { createFront } from '../front/front.ts';
import { Manager } from '../manager/manager.ts';
import type { ManagerOptions } from '../manager/options.ts';
import { EmbeddedOrderer } from '../ordering/embedded.ts';
import { type Opened, Store } from '../ordering/store.ts';
import { exportDatabaseFiles } from '../replica/state/existing.ts';
import type { Address, Settings } from './config.ts';
import { clearDomains, prepareDataFolder, STORE_FILE } from './data-folder.ts';

const UPDATE_BYTES_MAX = 64 * 1024 ** 2;
const STATE_BYTES_MAX = 16 * 1024 ** 3;
/** Room for what frames a reply and an update. */
const FRAME_HEAD_MAX = 64 * 1024;

export interface Running {
  readonly manager: Manager;
  readonly listen: Address;
  readonly admin: Address;
  readonly isolation: string;
  /** Resolves once the group answers requests; rejects with a `SpareError` when it cannot. */
  readonly ready: Promise<void>;
  /** Resolves when the group cannot go on. */
  readonly halted: Promise<SpareError>;
  close(): Promise<void>;
}

function managerOptions(settings: Settings, log: (line: string) => void): ManagerOptions {
  const { faults, data, folder, state, variants, limits } = settings;
  return {
    faults,
    variants: variants.map(({ command, env }): ServiceImage => ({ folder, command, env, state })),
    dataFolder: data,
    limits: { memoryBytes: limits.memoryBytes, processes: limits.processes },
    deadline: { floorMs: 500, ceilingMs: 2000, factor: 20 },
    refresh: {
      entries: 512,
      bytes: 4 * 1024 ** 2,
      ageMs: 60_000,
      ordered: 20_000,
      checkpointBytes: 32 * 1024 ** 2,
    },
    requestTimeoutMs: limits.requestTimeoutMs,
    startTimeoutMs: limits.startTimeoutMs,
    replyBytesMax: limits.replyBytes,
    frameBytesMax: limits.replyBytes + UPDATE_BYTES_MAX + FRAME_HEAD_MAX,
    stateBytesMax: STATE_BYTES_MAX,
    log,
  };
}

/** Resolves with the address that was taken. Throws `SpareError` address-in-use, address-invalid. */
function bind(server: Server, key: string, { host, port }: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const inUse = error.code === 'EADDRINUSE';
      const message = inUse
        ? `The address ${host}:${port} (\`${key}\`) is in use.`
        : `Cannot listen on ${host}:${port} (\`${key}\`): ${error.message}.`;
      reject(
        new SpareError(inUse ? 'address-in-use' : 'address-invalid', message, {
          hint: `End what listens there, or choose another address with --${key}.`,
          cause: error,
        }),
      );
    });
    server.listen(port, host, () => {
      const address = server.address();
      resolve({ host, port: typeof address === 'object' && address !== null ? address.port : port });
    });
  });
}

/** Copies databases that exist already: the group's initial state. Throws `SpareError` state-*. */
function importExisting(settings: Settings, opened: Opened, basePath: string): void {
  if (opened.entries.length > 0) return;
  const files = settings.state.map((file) => join(settings.folder, file));
  if (!files.some((file) => existsSync(file))) return;
  const temporary = `${basePath}.new`;
  writeFileSync(temporary, exportDatabaseFiles(files));
  renameSync(temporary, basePath);
}

async function usageOf(domain: Domain | null): Promise<{ cpuSeconds: number; residentBytes: number }> {
  const none = { cpuSeconds: 0, residentBytes: 0 };
  return domain === null ? none : await domain.usage().catch(() => none);
}

async function statusOf(manager: Manager | null, faults: number): Promise<Status> {
  if (manager === null)
    return {
      faults,
      ordered: -1,
      decided: -1,
      replicas: [],
      updateLog: { entries: 0, bytes: 0 },
      incidents: 0,
    };
  const view = manager.view();
  const replicas = await Promise.all(
    view.replicas.map(async (replica) => {
      const domain = manager.domainOf(replica.id);
      const { cpuSeconds, residentBytes } = await usageOf(domain);
      return {
        ...replica,
        pid: domain?.pid ?? null,
        isolation: manager.isolation,
        cpuSeconds,
        residentBytes,
      };
    }),
  );
  const incidents = manager.incidents.latest().length;
  return {
    faults,
    ordered: view.ordered,
    decided: view.decided,
    replicas,
    updateLog: view.updateLog,
    incidents,
  };
}

const READY_POLL_MS = 20;

async function untilWhole(manager: Manager, halted: Promise<SpareError>): Promise<void> {
  let failure: SpareError | null = null;
  void halted.then((error) => (failure = error));
  while (!manager.whole()) {
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    if (failure !== null) throw failure as SpareError;
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** What identifies the service whose data a folder holds. */
function serviceName(settings: Settings): string {
  const state = settings.state.length === 0 ? 'none' : settings.state.join(', ');
  return `the service in ${settings.folder}, state: ${state}`;
}

/** Throws `SpareError`; nothing is left running then. */
export async function run(settings: Settings, log: (line: string) => void): Promise<Running> {
  for (const { command } of settings.variants) {
    findExecutable(command[0] ?? '', settings.folder, process.env['PATH'] ?? '', []);
  }
  const driver: Driver = await createProcessDriver();
  const options = managerOptions(settings, log);
  await using undo = new AsyncDisposableStack();
  let manager: Manager | null = null;
  const front = createFront(
    {
      bodyBytesMax: settings.limits.bodyBytes,
      admission: {
        inFlight: 256,
        inFlightBytes: 32 * 1024 ** 2,
        waiting: settings.limits.waitingRequests,
        waitingBytes: 64 * 1024 ** 2,
      },
    },
    {
      ready: () => manager?.answering() ?? false,
      submit: (key, request, done) => manager?.submit(key, request, done),
    },
  );
  const admin = createAdmin({
    status: async () => await statusOf(manager, settings.faults),
    incidents: () => manager?.incidents.latest() ?? [],
    ready: () => manager?.answering() ?? false,
  });
  const listen = await bind(front, 'listen', settings.listen);
  undo.defer(() => closeServer(front));
  const adminAddress = await bind(admin, 'admin', settings.admin);
  undo.defer(() => closeServer(admin));
  prepareDataFolder(settings.data);
  const { store, opened } = await Store.open(join(settings.data, STORE_FILE), serviceName(settings));
  const closeStore = undo.adopt(store, (kept) => kept.close());
  clearDomains(settings.data);
  importExisting(settings, opened, join(settings.data, 'base'));
  const next =
    opened.recovery.first > 0 || opened.entries.length > 0
      ? Math.max(opened.recovery.first, (opened.entries.at(-1)?.index ?? -1) + 1)
      : 0;
  const orderer = new EmbeddedOrderer(closeStore, next);
  const started = new Manager(options, { driver, store, orderer, opened });
  manager = started;
  const halted = new Promise<SpareError>((resolve) => {
    started.onHalt = resolve;
  });
  started.start(opened);
  undo.move();
  return {
    manager: started,
    listen,
    admin: adminAddress,
    isolation: driver.isolation,
    ready: untilWhole(started, halted),
    halted,
    close: async () => {
      await Promise.all([closeServer(front), closeServer(admin)]);
      await started.close();
    },
  };
}
