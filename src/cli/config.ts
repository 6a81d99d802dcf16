/**
 * The configuration: what a file says, what flags say, what holds when neither does. Everything is checked before
 * anything is started; what is wrong is named by its key.
 */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf, SpareError } from '../errors.ts';

/** What a replica runs, where it differs from the others. */
export interface Variant {
  command?: readonly string[];
  env?: Readonly<Record<string, string>>;
}

/** `spare.config.ts`; every key is optional, and flags go before it. */
export interface Config {
  /** f: how many replicas may fail at once, 1 to 4. f+1 are active, f+1 suspended. Default 1. */
  faults?: number;
  /** Where clients come in, `host:port`. Default `127.0.0.1:8080`. */
  listen?: string;
  /** Where the admin API listens. Default `127.0.0.1:7070`. */
  admin?: string;
  /** Where Spare keeps what must survive, relative to the configuration. Default `.spare`. */
  data?: string;
  /** What isolates a replica. Default `process`. */
  hypervisor?: 'process';
  /** The service folder, relative to the configuration. Default: the folder of the configuration. */
  folder?: string;
  /** The service's SQLite files, relative to the service folder. */
  state?: readonly string[];
  /** The command that starts the service; it listens for HTTP on $PORT. */
  command?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** Replica i runs variant i mod n: software diversity. */
  variants?: readonly Variant[];
  limits?: Limits;
}

export interface Limits {
  /** Resident memory of one replica. Default 1 GiB. */
  memoryBytes?: number;
  /** Processes of one replica. Default 256. */
  processes?: number;
  /** Body of a request. Default 1 MiB. */
  bodyBytes?: number;
  /** Reply to a request. Default 8 MiB. */
  replyBytes?: number;
  /** The longest that one request may take in the service. Default 30 s. */
  requestTimeoutMs?: number;
  /** The longest that the service may take to start. Default 60 s. */
  startTimeoutMs?: number;
  /** Requests waiting to be ordered; beyond that clients get 503. Default 2048. */
  waitingRequests?: number;
}

/** Gives `spare.config.ts` its types. */
export function defineConfig(config: Config): Config {
  return config;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A whole and checked configuration; paths are absolute. */
export interface Settings {
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
  readonly limits: Required<Limits>;
}

export const FAULTS_MAX: number = 4;
const DEFAULT_FILE = 'spare.config.ts';

const DEFAULT_LIMITS: Required<Limits> = {
  memoryBytes: 1024 ** 3,
  processes: 256,
  bodyBytes: 1024 ** 2,
  replyBytes: 8 * 1024 ** 2,
  requestTimeoutMs: 30_000,
  startTimeoutMs: 60_000,
  waitingRequests: 2048,
};

function invalid(message: string, hint: string): SpareError {
  return new SpareError('config-invalid', message, { hint });
}

const CONFIG_HINT = 'See the Config type of Spare, or `spare --help`, for what it may be.';

type Check = (value: unknown) => string | null;
const text: Check = (value) =>
  typeof value === 'string' && value !== '' ? null : 'a text that is not empty';
const wholeNumber: Check = (value) =>
  Number.isSafeInteger(value) && Number(value) > 0 ? null : 'a whole number above 0';
const texts: Check = (value) =>
  Array.isArray(value) && value.every((item) => text(item) === null) ? null : 'a list of texts';
const environment: Check = (value) =>
  isObject(value) && Object.values(value).every((item) => typeof item === 'string')
    ? null
    : 'an object of texts';

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function each(checks: Record<string, Check>): Check {
  return (value) => {
    if (!isObject(value)) return 'an object';
    for (const [key, item] of Object.entries(value)) {
      const check = checks[key];
      if (check === undefined) {
        throw invalid(
          `Unknown key \`${key}\` in the configuration.`,
          `Known here: ${Object.keys(checks).join(', ')}.`,
        );
      }
      const wanted = item === undefined ? null : check(item);
      if (wanted !== null) throw invalid(`\`${key}\` in the configuration must be ${wanted}.`, CONFIG_HINT);
    }
    return null;
  };
}

const LIMIT_CHECKS = Object.fromEntries(Object.keys(DEFAULT_LIMITS).map((key) => [key, wholeNumber]));

const checkConfig = each({
  // Its range is checked with the flag's.
  faults: (value) => (typeof value === 'number' ? null : 'a number'),
  listen: text,
  admin: text,
  data: text,
  hypervisor: text,
  folder: text,
  state: texts,
  command: texts,
  env: environment,
  variants: (value) => {
    if (!Array.isArray(value) || value.length === 0) return 'a list of variants, at least one';
    const check = each({ command: texts, env: environment });
    for (const variant of value) if (check(variant) !== null) return 'a list of { command, env }';
    return null;
  },
  limits: each(LIMIT_CHECKS),
});

/**
 * Reads a configuration file; without a name, `spare.config.ts` of the working folder if it is there.
 * Throws `SpareError` config-not-found, config-invalid.
 */
export async function readConfig(name: string | undefined): Promise<{ config: Config; folder: string }> {
  const file = resolve(name ?? DEFAULT_FILE);
  if (!existsSync(file)) {
    if (name === undefined) return { config: {}, folder: process.cwd() };
    throw new SpareError('config-not-found', `There is no configuration ${file}.`, {
      hint: `Name an existing file with --config, or leave it out to use ./${DEFAULT_FILE}.`,
    });
  }
  let module: { default?: unknown };
  try {
    module = (await import(pathToFileURL(file).href)) as { default?: unknown };
  } catch (error) {
    throw new SpareError('config-invalid', `Cannot load ${file}: ${messageOf(error)}.`, {
      hint: CONFIG_HINT,
      cause: error,
    });
  }
  const wanted = checkConfig(module.default);
  if (wanted !== null)
    throw invalid(`The default export of ${file} must be ${wanted}.`, 'export default defineConfig({ … })');
  return { config: module.default as Config, folder: dirname(file) };
}

/** Throws `SpareError` address-invalid. */
export function parseAddress(key: string, value: string): Address {
  const match = /^(?:(\[[0-9a-f:.]+\]|[^:]*):)?(\d{1,5})$/i.exec(value);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    throw new SpareError('address-invalid', `\`${key}\` is not an address: ${JSON.stringify(value)}.`, {
      hint: 'Write host:port, such as 127.0.0.1:8080.',
    });
  }
  const host = (match[1] ?? '').replace(/^\[|\]$/g, '');
  return { host: host === '' ? '127.0.0.1' : host, port };
}

function checkFaults(faults: number): number {
  if (Number.isInteger(faults) && faults >= 1 && faults <= FAULTS_MAX) return faults;
  throw new SpareError(
    'faults-out-of-range',
    `The number of faults must be 1 to ${FAULTS_MAX}, not ${faults}.`,
    {
      hint: 'f faults need 2f+2 replicas, f+1 of them active; 1 is what most services want.',
    },
  );
}

function checkState(folder: string, file: string): string {
  const within = relative(folder, resolve(folder, file));
  if (within !== '' && !within.startsWith('..') && !isAbsolute(within)) return within;
  throw invalid(
    `The state file ${file} is not in the service folder ${folder}.`,
    'State files are named relative to the service folder.',
  );
}

/** Makes `config` whole. Relative paths start at `folder`. Throws `SpareError`. */
export function settle(config: Config, folder: string): Settings {
  const { hypervisor = 'process' } = config;
  if (hypervisor !== 'process') {
    throw new SpareError('hypervisor-unknown', `There is no hypervisor ${JSON.stringify(hypervisor)}.`, {
      hint: 'Known: process.',
    });
  }
  const serviceFolder = resolve(folder, config.folder ?? '.');
  if (!existsSync(serviceFolder)) {
    throw new SpareError('service-folder-missing', `There is no service folder ${serviceFolder}.`, {
      hint: '`folder` in the configuration is relative to the configuration itself.',
    });
  }
  const variants = (config.variants ?? [{}]).map((variant) => ({
    command: variant.command ?? config.command ?? [],
    env: { ...config.env, ...variant.env },
  }));
  if (variants.some(({ command }) => command.length === 0)) {
    throw new SpareError('command-missing', 'No command to start the service with.', {
      hint: 'Put it behind --, as in `spare run --state app.db -- node server.js`, or as `command` into the configuration.',
    });
  }
  return {
    faults: checkFaults(config.faults ?? 1),
    listen: parseAddress('listen', config.listen ?? '127.0.0.1:8080'),
    admin: parseAddress('admin', config.admin ?? '127.0.0.1:7070'),
    data: resolve(folder, config.data ?? '.spare'),
    folder: serviceFolder,
    state: (config.state ?? []).map((file) => checkState(serviceFolder, file)),
    variants,
    limits: { ...DEFAULT_LIMITS, ...config.limits },
  };
}
