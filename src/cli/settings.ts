/**
 * What a group is run with: what the configuration says, what flags say, what holds when neither does. Everything is checked before
 * anything is started.
 */
import { statSync } from 'node:fs';
import { isAbsolute, relative, resolve } from 'node:path';
import { readOciProgram } from '../domains/qemu/image/oci.ts';
import { SpareError } from '../errors.ts';
import type { HookOptions } from '../evidence/hook.ts';
import type { RecoveryOptions } from '../manager/rejuvenation.ts';
import { parseDuration } from './duration.ts';
import type { Config, Limits, Recovery } from './config.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A whole and checked configuration; paths are absolute. */
export interface Settings {
  readonly hypervisor: 'process' | 'qemu';
  readonly suspension: 'paused' | 'parked';
  /** Undefined: nothing. */
  readonly include: readonly string[] | undefined;
  /** The container image that folder and programs are in. */
  readonly oci: string | undefined;
  readonly faults: number;
  readonly listen: Address;
  readonly admin: Address;
  readonly data: string;
  readonly folder: string;
  readonly state: readonly string[];
  readonly variants: readonly {
    readonly command: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  }[];
  /** Null: never. */
  readonly recovery: RecoveryOptions | null;
  readonly limits: Required<Limits>;
  readonly hook: HookOptions;
}

const FAULTS_MAX = 4;
const RECOVERY_MS_MIN = 1000;

const MACHINE_START_MS = 600_000;
const DEFAULT_LIMITS: Required<Limits> = {
  memoryBytes: 2 * 1024 ** 3,
  processes: 256,
  bodyBytes: 1024 ** 2,
  replyBytes: 8 * 1024 ** 2,
  requestTimeoutMs: 30_000,
  startTimeoutMs: 60_000,
  waitingRequests: 2048,
};

export function invalid(message: string, hint: string): SpareError {
  return new SpareError('config-invalid', message, { hint });
}

/** Throws `SpareError` address-invalid. */
export function parseAddress(key: string, value: string): Address {
  const match = /^(?:(\[[0-9a-f:.]+\]|[^:[\]]*):)?(\d{1,5})$/i.exec(value);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    throw new SpareError('address-invalid', `\`${key}\` is not an address: ${JSON.stringify(value)}.`, {
      hint: 'Write host:port, such as 127.0.0.1:8080 or [::1]:8080.',
    });
  }
  const host = (match[1] ?? '').replace(/^\[|\]$/g, '');
  return { host: host === '' ? '127.0.0.1' : host, port };
}

/** `faults`: as it was given. */
export function faultsOutOfRange(faults: string): SpareError {
  return new SpareError(
    'faults-out-of-range',
    `The number of faults must be a whole number from 1 to ${FAULTS_MAX}, not ${faults}.`,
    { hint: 'f faults need 2f+2 replicas, f+1 of them active; 1 is what most services want.' },
  );
}

function checkFaults(faults: number): number {
  if (Number.isInteger(faults) && faults >= 1 && faults <= FAULTS_MAX) return faults;
  throw faultsOutOfRange(String(faults));
}

function checkState(folder: string, files: readonly string[]): string[] {
  const found = new Set<string>();
  for (const file of files) {
    const within = relative(folder, resolve(folder, file));
    if (within === '' || within === '..' || within.startsWith('../')) {
      throw invalid(
        `The state file ${file} is not in the service folder ${folder}.`,
        'State files are named relative to the service folder, and lie in it.',
      );
    }
    if (found.has(within)) throw invalid(`The state file ${within} is named twice.`, 'Name it once.');
    found.add(within);
  }
  return [...found];
}

function checkAddresses(listen: Address, admin: Address): void {
  if (listen.port === 0 || listen.port !== admin.port || listen.host !== admin.host) return;
  throw new SpareError(
    'address-invalid',
    `\`listen\` and \`admin\` are the same address, ${listen.host}:${listen.port}.`,
    { hint: 'Give one of them another port.' },
  );
}

function duration(key: string, text: string): number {
  const ms = parseDuration(text);
  if (ms !== null && ms >= RECOVERY_MS_MIN) return ms;
  throw invalid(
    `\`recovery.${key}\` is not a duration of at least 1s: ${JSON.stringify(text)}.`,
    'Write a number and s, m, h or d, such as 90s or 24h.',
  );
}

function wholeRecovery({ every = '24h', spread }: Recovery): RecoveryOptions | null {
  if (every === 'never') return null;
  const everyMs = duration('every', every);
  const spreadMs = spread === undefined ? everyMs : duration('spread', spread);
  if (spreadMs <= everyMs) return { everyMs, spreadMs };
  throw invalid(
    `\`recovery.spread\` (${spread}) is longer than \`recovery.every\` (${every}).`,
    'All replicas must have been replaced before the first one is old again.',
  );
}

/** Where the group's data is, relative paths starting at `folder`. */
export function dataFolder({ data }: Config, folder: string): string {
  return resolve(folder, data ?? '.spare');
}

function checkWebhook(webhook: string | null): string | null {
  if (webhook === null) return null;
  const { protocol = '', username = '', password = '' } = URL.parse(webhook) ?? {};
  if (/^https?:$/.test(protocol) && username === '' && password === '') return webhook;
  // Not shown: there may be a secret in it.
  throw invalid(
    '`onIncident.webhook` is not a URL that can be posted to.',
    'Write it whole, such as https://example.org/incidents, and without a user or password.',
  );
}

function wholeLimits(limits: Limits, hypervisor: Settings['hypervisor']): Required<Limits> {
  const given = Object.entries(limits).filter(([, value]) => value !== undefined);
  const startTimeoutMs = hypervisor === 'qemu' ? MACHINE_START_MS : DEFAULT_LIMITS.startTimeoutMs;
  return { ...DEFAULT_LIMITS, startTimeoutMs, ...Object.fromEntries(given) };
}

function checkHypervisor(name: string): 'process' | 'qemu' {
  if (name === 'process' || name === 'qemu') return name;
  throw new SpareError('hypervisor-unknown', `There is no hypervisor ${JSON.stringify(name)}.`, {
    hint: 'Known: process, qemu.',
  });
}

function checkSuspension({ hypervisor, suspension = 'paused' }: Config): 'paused' | 'parked' {
  if (suspension !== 'paused' && suspension !== 'parked') {
    throw invalid(
      `\`suspension\` is ${JSON.stringify(suspension)}.`,
      'It is `paused` (in memory) or `parked` (on disk).',
    );
  }
  if (suspension === 'paused' || hypervisor === 'qemu') return suspension;
  throw invalid(
    'Only virtual machines can be parked.',
    "Add `hypervisor: 'qemu'`, or leave `suspension` out.",
  );
}

function checkFolder(folder: string): string {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return folder;
  throw new SpareError('service-folder-missing', `There is no service folder ${folder}.`, {
    hint: '`folder` in the configuration is relative to the configuration itself.',
  });
}

/** In a container image. */
function checkLayered(folder: string): string {
  if (folder !== '/') return folder;
  throw invalid(
    'The whole container image cannot be the service folder.',
    'Say with `folder` in which of its folders the service is; its program is started there.',
  );
}

function wholeImage({ hypervisor, image = {} }: Config, folder: string): Pick<Settings, 'include' | 'oci'> {
  const { include = [], oci } = image;
  if (hypervisor !== 'qemu' && (include.length > 0 || oci !== undefined)) {
    throw invalid(
      'Only virtual machines have an `image`.',
      "Add `hypervisor: 'qemu'`, or leave `image` out.",
    );
  }
  const relative = include.find((path) => !isAbsolute(path));
  if (relative === undefined) {
    return {
      include: include.length === 0 ? undefined : include,
      oci: oci === undefined ? undefined : resolve(folder, oci),
    };
  }
  throw invalid(`\`image.include\` has a relative path: ${relative}.`, 'Write absolute paths of this host.');
}

/** Makes `config` whole. Relative paths start at `folder`. Throws `SpareError`. */
export function settle(config: Config, folder: string): Settings {
  const hypervisor = checkHypervisor(config.hypervisor ?? 'process');
  const { include, oci } = wholeImage(config, folder);
  const program = oci === undefined ? undefined : readOciProgram(oci);
  const serviceFolder =
    program === undefined
      ? checkFolder(resolve(folder, config.folder ?? '.'))
      : checkLayered(resolve('/', config.folder ?? program.folder));
  const variants = (config.variants ?? [{}]).map((variant) => ({
    command: variant.command ?? config.command ?? program?.command ?? [],
    env: { ...program?.env, ...config.env, ...variant.env },
  }));
  if (variants.some(({ command }) => command.length === 0)) {
    throw new SpareError('command-missing', 'No command to start the service with.', {
      hint: 'Put it behind --, as in `spare run --state app.db -- node server.js`, or as `command` into the configuration.',
    });
  }
  if (config.state === undefined) {
    throw new SpareError('state-missing', "It is not said where the service's state is.", {
      hint: 'Name its SQLite files with --state, or as `state` in the configuration; `state: []` if it has none.',
    });
  }
  const listen = parseAddress('listen', config.listen ?? '127.0.0.1:8080');
  const admin = parseAddress('admin', config.admin ?? '127.0.0.1:7070');
  checkAddresses(listen, admin);
  return {
    hypervisor,
    suspension: checkSuspension(config),
    include,
    oci,
    faults: checkFaults(config.faults ?? 1),
    listen,
    admin,
    data: dataFolder(config, folder),
    folder: serviceFolder,
    state: checkState(serviceFolder, config.state),
    variants,
    recovery: wholeRecovery(config.recovery ?? {}),
    limits: wholeLimits(config.limits ?? {}, hypervisor),
    hook: {
      command: config.onIncident?.command ?? [],
      folder,
      webhook: checkWebhook(config.onIncident?.webhook ?? null),
    },
  };
}
