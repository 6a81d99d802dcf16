/**
 * The configuration file: read, and checked for its form; what is wrong is named by its key. Whether the values make
 * sense together is `settle`'s to say.
 */
import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../domains/process/package.ts';
import { messageOf, SpareError } from '../errors.ts';
import type { Config } from './config.ts';
import { invalid } from './settings.ts';
import { quoted } from './quoted.ts';

/** The second one is a module in a CommonJS package, too. */
const DEFAULT_FILES = ['spare.config.ts', 'spare.config.mts'] as const;
const CONFIG_HINT = 'See the Config type of Spare, or `spare --help`, for what it may be.';

/** What the value must be, or null when it is; `key` is its place, for what is wrong further inside. */
type Check = (value: unknown, key: string) => string | null;

/** The system ends a text at its first NUL. */
function isText(value: unknown): boolean {
  return typeof value === 'string' && !value.includes('\0');
}

const text: Check = (value) => (isText(value) && value !== '' ? null : 'a text that is not empty');
const texts: Check = (value) =>
  Array.isArray(value) && value.every((item) => text(item, '') === null)
    ? null
    : 'a list of texts that are not empty';
const command: Check = (value) =>
  Array.isArray(value) && value.every(isText) && value[0] !== ''
    ? null
    : 'a list of texts: a program and its arguments';
const environment: Check = (value) =>
  isObject(value) && Object.entries(value).every(([name, item]) => /^[^=\0]+$/.test(name) && isText(item))
    ? null
    : 'an object of texts';
const wholeNumber =
  (most: number): Check =>
  (value) => {
    if (Number.isSafeInteger(value) && Number(value) > 0 && Number(value) <= most) return null;
    return most === Number.MAX_SAFE_INTEGER ? 'a whole number above 0' : `a whole number from 1 to ${most}`;
  };

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function each(checks: Record<string, Check>): Check {
  return (value, key) => {
    if (!isObject(value)) return 'an object';
    for (const [name, item] of Object.entries(value)) {
      const path = key === '' ? name : `${key}.${name}`;
      const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
      if (check === undefined) {
        const hint = `Known ${key === '' ? 'keys' : `in \`${key}\``}: ${Object.keys(checks).join(', ')}.`;
        throw invalid(`Unknown key \`${path}\` in the configuration.`, hint);
      }
      const wanted = item === undefined ? null : check(item, path);
      if (wanted !== null) throw invalid(`\`${path}\` in the configuration must be ${wanted}.`, CONFIG_HINT);
    }
    return null;
  };
}

const anyNumber = wholeNumber(Number.MAX_SAFE_INTEGER);
const checkVariant = each({ command, env: environment });

const checkConfig = each({
  // Its range is checked with the flag's.
  faults: (value) => (typeof value === 'number' ? null : 'a number'),
  listen: text,
  admin: text,
  data: text,
  hypervisor: text,
  suspension: text,
  image: each({ include: texts, oci: text }),
  folder: text,
  state: texts,
  command,
  env: environment,
  variants: (value, key) => {
    const wanted = 'a list of { command, env }, with one at least';
    if (!Array.isArray(value) || value.length === 0) return wanted;
    return value.some((variant, i) => checkVariant(variant, `${key}[${i}]`) !== null) ? wanted : null;
  },
  recovery: each({ every: text, spread: text }),
  limits: each({
    memoryBytes: anyNumber,
    processes: anyNumber,
    bodyBytes: wholeNumber(32 * 1024 ** 2),
    replyBytes: wholeNumber(1024 ** 3),
    requestTimeoutMs: anyNumber,
    startTimeoutMs: anyNumber,
    waitingRequests: anyNumber,
  }),
  onIncident: each({ command, webhook: text }),
});

/** What is most often wrong has a way out of its own. */
function loadHint(file: string, message: string): string {
  if (message.includes("Cannot find package 'spare'"))
    return `It comes with \`npm install ${quoted(ROOT)}\` in ${dirname(file)}; without \`defineConfig\` it is not needed.`;
  if (/Cannot use import statement outside a module|Unexpected token 'export'/.test(message))
    return `Its package.json makes it CommonJS: call it spare.config.mts, or say \`"type": "module"\` there.`;
  return `A configuration is a module that Node can import. To see where it fails: ${quoted(process.execPath)} ${quoted(file)}`;
}

export interface ConfigFile {
  readonly config: Config;
  /** Where relative paths start. */
  readonly folder: string;
  /** Not there where none is named and there is none. */
  readonly file: string;
}

/**
 * Reads a configuration file; without a name, `spare.config.ts` or `.mts` of the working folder if one is there.
 * `again`: it may have changed since it was read; what it imports itself is as it was. Throws `SpareError` config-not-found,
 * config-invalid.
 */
export async function readConfig(name: string | undefined, again = false): Promise<ConfigFile> {
  const file = resolve(name ?? DEFAULT_FILES.find(existsSync) ?? DEFAULT_FILES[0]);
  const found = existsSync(file);
  if (!found && name === undefined) return { config: {}, folder: process.cwd(), file };
  if (!found || statSync(file).isDirectory()) {
    const what = found ? `The configuration ${file} is a folder.` : `There is no configuration ${file}.`;
    throw new SpareError('config-not-found', what, {
      hint: `Name an existing file with --config, or leave it out to use ./${DEFAULT_FILES.join(' or ./')}.`,
    });
  }
  let module: { default?: unknown };
  try {
    module = (await import(`${pathToFileURL(file).href}${again ? `?${performance.now()}` : ''}`)) as {
      default?: unknown;
    };
  } catch (error) {
    const message = `Cannot load ${file}: ${messageOf(error)}.`;
    throw new SpareError('config-invalid', message, { hint: loadHint(file, message), cause: error });
  }
  const wanted = checkConfig(module.default, '');
  if (wanted !== null) {
    throw invalid(
      `The default export of ${file} must be ${wanted}.`,
      'Write: export default { command: [...], state: [...] }',
    );
  }
  return { config: module.default as Config, folder: dirname(file), file };
}
