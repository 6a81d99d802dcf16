/**
 * `spare run`: brings a group up in an order in which each step can still refuse: configuration, command, addresses,
 * data folder, store, initial state, domains.
 *
 * U1. Whichever step fails, or is interrupted, what was opened before is closed, and no process is left.
 * U2. A data folder in which nothing was decided yet is as it was before.
 */
import { join } from 'node:path';
import { newToken, publishAccess, withdrawAccess } from '../admin/access.ts';
import { createAdmin } from '../admin/admin.ts';
import { BASE_FILE, DOMAINS_FOLDER, STORE_FILE } from '../data-folder.ts';
import type { Driver } from '../domains/domain.ts';
import { isSystemError, type SpareError, storageFailed } from '../errors.ts';
import { createFront, type FrontOptions } from '../front/front.ts';
import { type Image, Images, sameVariants } from '../images/images.ts';
import { Manager } from '../manager/manager.ts';
import { type ManagerOptions, REFRESH, type Version } from '../manager/options.ts';
import { EmbeddedOrderer } from '../ordering/embedded.ts';
import { RECORD } from '../ordering/store-protocol.ts';
import { type Opened, Store } from '../ordering/store.ts';
import { UPDATE_BYTES_MAX } from '../wire/channel.ts';
import type { Address, Settings } from './settings.ts';
import { clearLeftovers, prepareDataFolder } from './data-folder.ts';
import { checkCommands, Deploys, variantsOf, versionOf } from './deploy.ts';
import { importExisting, importFromLayers } from './existing-state.ts';
import { unlessAborted } from './interruption.ts';
import { addressUrl, bind, closeServer, endsGently } from './listen.ts';
import { serviceName } from './service-name.ts';
import { createDriver, prepareImages } from './hypervisor.ts';
import { Observer } from './status.ts';

const STATE_BYTES_MAX = 16 * 1024 ** 3;
/** Room for what frames a reply and an update. */
const FRAME_HEAD_MAX = 64 * 1024;

export interface Running {
  readonly manager: Manager;
  readonly listen: Address;
  readonly admin: Address;
  readonly isolation: string;
  /** Resolves once the group answers requests, or is closed; rejects with a `SpareError` when it cannot. */
  readonly ready: Promise<void>;
  /** Resolves when the group cannot go on. */
  readonly halted: Promise<SpareError>;
  /** Requests in work are answered first, and who is to be told of an incident is told, unless `atOnce` is aborted. */
  close(atOnce: AbortSignal): Promise<void>;
}

/** What was accepted, as it still is; what is there now, for a group that is to be founded. Throws `image-*`. */
async function acceptedImage(images: Images, accepted: Image | null, settings: Settings): Promise<Image> {
  const variants = variantsOf(settings);
  if (accepted === null) {
    const image = await images.measure(variants);
    await images.accept(image);
    return image;
  }
  sameVariants(accepted, variants);
  await images.check(accepted);
  return accepted;
}

/** Of a group that is to be founded, what its service has already is the initial state. */
async function withExisting(
  store: Store,
  opened: Opened,
  { folder, state, data, oci }: Settings,
  log: (line: string) => void,
): Promise<Opened> {
  if (opened.next > 0) return opened;
  const target = join(data, BASE_FILE);
  const place = join(data, DOMAINS_FOLDER);
  const base =
    oci === undefined
      ? importExisting(folder, state, target, place, log)
      : await importFromLayers(oci, folder, state, target, place, log);
  if (base === null) return opened;
  store.write(RECORD.base, 0, Buffer.from(base));
  await store.durable();
  return { ...opened, recovery: { ...opened.recovery, base } };
}

function managerOptions(settings: Settings, version: Version, log: (line: string) => void): ManagerOptions {
  const { faults, data, limits } = settings;
  return {
    faults,
    version,
    dataFolder: data,
    limits: { memoryBytes: limits.memoryBytes, processes: limits.processes },
    deadline: { floorMs: 1000, ceilingMs: 2000, factor: 20 },
    patience: { graceMs: 100, overtimeMs: 3000 },
    refresh: REFRESH,
    recovery: settings.recovery,
    requestTimeoutMs: limits.requestTimeoutMs,
    startTimeoutMs: limits.startTimeoutMs,
    replyBytesMax: limits.replyBytes,
    frameBytesMax: limits.replyBytes + UPDATE_BYTES_MAX + FRAME_HEAD_MAX,
    stateBytesMax: STATE_BYTES_MAX,
    hook: settings.hook,
    log,
  };
}

function frontOptions({ limits }: Settings): FrontOptions {
  return {
    bodyBytesMax: limits.bodyBytes,
    // Some replies of the largest size.
    unreadBytesMax: 32 * limits.replyBytes,
    admission: {
      inFlight: 256,
      inFlightBytes: 32 * 1024 ** 2,
      waiting: limits.waitingRequests,
      waitingBytes: 64 * 1024 ** 2,
    },
  };
}

/** An error of the system is one of the data folder there: nothing else is read or written. Throws `storage-failed`. */
function inDataFolder<T>(folder: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw isSystemError(error) ? storageFailed(folder, error.message) : error;
  }
}

/** Where the settings come from, and are read again for a deploy. */
export interface Source {
  /** Of the configuration. */
  readonly file: string;
  readonly read: () => Promise<Settings>;
}

/**
 * Throws `SpareError`, or the reason of `signal` once that is aborted; nothing is left running then. `isolated`: what isolates
 * the replicas, where the caller has made that.
 */
export async function run(
  settings: Settings,
  { file, read }: Source,
  log: (line: string) => void,
  signal: AbortSignal,
  isolated?: Driver,
): Promise<Running> {
  checkCommands(settings);
  const driver = isolated ?? (await createDriver(settings, log));
  const observer = new Observer(settings.faults);
  await using undo = new AsyncDisposableStack();
  undo.defer(() => observer.close());
  let manager: Manager | null = null;
  let endsAtOnce = new AbortController().signal;
  const front = createFront(frontOptions(settings), {
    ready: () => manager?.health.accepting() ?? false,
    submit: (key, request, done) => manager?.submit(key, request, done),
  });
  const endFront = endsGently(front);
  const token = newToken();
  const admin = createAdmin(observer, token, settings.admin.host);
  signal.throwIfAborted();
  undo.defer(() => closeServer(front));
  const listen = await bind(front, 'listen', settings.listen);
  undo.defer(() => closeServer(admin));
  const adminAddress = await bind(admin, 'admin', settings.admin);
  const folder = inDataFolder(settings.data, () => prepareDataFolder(settings.data));
  // Of two that found it empty, one gets the store; what is in the folder is its.
  let isOurs = true;
  undo.defer(() => {
    if (isOurs && (manager === null || manager.view().decided < 0)) folder.discard();
  });
  const images = new Images(settings.data, log);
  undo.use(images);
  const known = await images.load();
  const name = serviceName(settings, images.foundedAs(known, settings.folder));
  const opening = Store.open(join(settings.data, STORE_FILE), name).catch((error: SpareError) => {
    isOurs = error.code !== 'data-folder-in-use';
    throw error;
  });
  const { store, opened: found } = await opening;
  undo.defer(() => (manager === null ? store.close() : manager.close(endsAtOnce)));
  await clearLeftovers(settings.data);
  const access = { url: addressUrl(adminAddress), token, config: file };
  inDataFolder(settings.data, () => publishAccess(settings.data, access));
  undo.defer(() => withdrawAccess(settings.data));
  const opened = await unlessAborted(signal, withExisting(store, found, settings, log));
  // Reads all that the service starts from, which may be much.
  const image = await unlessAborted(signal, acceptedImage(images, known, settings));
  await prepareImages(settings, log, true, signal);
  signal.throwIfAborted();
  const orderer = new EmbeddedOrderer(store, opened.next);
  const options = managerOptions(settings, versionOf(images, image), log);
  const parts = { driver, store, orderer, opened };
  const started = inDataFolder(settings.data, () => new Manager(options, parts));
  manager = started;
  images.onChange = (error) => started.imageChanged(error);
  const halted = new Promise<SpareError>((resolve) => {
    started.onHalt = resolve;
  });
  const deploys = new Deploys(images, image, settings, log);
  observer.watch(started, async () => await deploys.deploy(started, await read()));
  started.start(opened);
  const opens = undo.move();
  return {
    manager: started,
    listen,
    admin: adminAddress,
    isolation: driver.isolation,
    ready: observer.untilWhole(halted),
    halted,
    close: async (atOnce) => {
      endsAtOnce = atOnce;
      // What cannot go on answers nobody.
      await endFront(started.ended ? AbortSignal.abort() : atOnce);
      await opens.disposeAsync();
    },
  };
}
