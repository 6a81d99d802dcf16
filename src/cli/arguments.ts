/** The command line of `spare`, and its help. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf, SpareError } from '../errors.ts';
import type { Config } from './config.ts';
import { faultsOutOfRange } from './settings.ts';

export const HELP = `Spare makes a stateful web service survive intrusions at f+1 cost.

Usage: spare run [options] -- command...
       spare image build [options] -- command...
       spare recover [--config FILE | --data FOLDER] REPLICA
       spare console [--config FILE | --data FOLDER] REPLICA
       spare deploy [options] [-- command...]
       spare incidents [--config FILE | --data FOLDER]
       spare incidents show [--config FILE | --data FOLDER] ID
       spare backup [--config FILE | --data FOLDER] FILE
       spare restore [options] FILE [-- command...]
       spare export [options] FILE FOLDER [-- command...]

Runs f+1 active and f+1 suspended copies of the service, which listens for HTTP on $PORT, and lets out
only replies that f+1 copies agree on. With "recover" a clean copy takes the place of one that runs,
with "deploy" a new version of the service that of all. With "console" it says what a copy printed last,
with "incidents" what went wrong, and with an ID all that is known of it. "backup" writes all that is
needed to go on into a file, also while copies run; "restore" makes a data folder from it, "export" plain
SQLite files. With "image build" the image of the virtual machines is made and its digest printed,
without starting any.

  --config FILE         configuration (default: ./spare.config.ts or .mts, if there is one)
  --faults N            copies that may fail at once, 1 to 4 (default 1)
  --state FILE          SQLite file of the service's state, relative to its folder; may be repeated
  --listen HOST:PORT    where clients come in (default 127.0.0.1:8080)
  --admin HOST:PORT     where the admin API listens (default 127.0.0.1:7070)
  --data FOLDER         what must survive a crash (default .spare)
  --hypervisor NAME     what isolates a copy: process, or qemu (virtual machines)
  --suspension DEPTH    of a virtual machine: paused (in memory), or parked (on disk)
  --help, --version

What a flag says counts, not what the configuration says. Environment of the service: \`env\` in the configuration.
`;

export type Call =
  | { readonly type: 'help' }
  | { readonly type: 'version' }
  | ({ readonly type: 'run' } & ServiceFlags)
  | ({ readonly type: 'backup'; readonly file: string } & Where)
  | ({ readonly type: 'restore'; readonly file: string } & ServiceFlags)
  | ({ readonly type: 'export'; readonly file: string; readonly folder: string } & ServiceFlags)
  | ({ readonly type: 'recover' | 'console'; readonly replica: string } & Where)
  /** `flags` count only where nothing runs. */
  | ({ readonly type: 'deploy' | 'image' } & ServiceFlags)
  /** `id`: the one to show; null: list them. */
  | ({ readonly type: 'incidents'; readonly id: number | null } & Where);

/** Which service it is about. */
export interface ServiceFlags {
  readonly configFile: string | undefined;
  /** Go before what the configuration says. */
  readonly flags: Config;
}

/** Where the data folder of a group is. */
export interface Where {
  readonly configFile: string | undefined;
  /** Goes before the configuration's. */
  readonly data: string | undefined;
}

const OPTIONS = {
  config: { type: 'string' },
  faults: { type: 'string' },
  state: { type: 'string', multiple: true },
  listen: { type: 'string' },
  admin: { type: 'string' },
  data: { type: 'string' },
  hypervisor: { type: 'string' },
  suspension: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const;

function wrong(message: string): SpareError {
  return new SpareError('config-invalid', message, { hint: 'See `spare --help`.' });
}

/** `args` without the program's own name. Throws `SpareError` config-invalid, faults-out-of-range. */
export function parseCall(args: readonly string[]): Call {
  const end = args.indexOf('--');
  const command = end === -1 ? [] : args.slice(end + 1);
  const { values, positionals } = parseFlags(end === -1 ? args : args.slice(0, end));
  if (values.help === true || args.length === 0) return { type: 'help' };
  if (values.version === true) return { type: 'version' };
  for (const [name, value] of Object.entries(values))
    if ([value].flat().includes('')) throw wrong(`--${name} is empty.`);
  const [verb, ...rest] = positionals;
  if (verb === undefined) throw wrong('What to do is missing, as in `spare run`.');
  if (['recover', 'console', 'incidents', 'backup'].includes(verb) && command[0] !== undefined)
    throw wrong(
      `\`spare ${verb}\` starts no service; nothing goes behind --, as ${JSON.stringify(command[0])}.`,
    );
  if (verb === 'recover' || verb === 'console')
    return { type: verb, replica: parseReplica(verb, rest), ...parseWhere(verb, values) };
  if (verb === 'incidents') return parseIncidents(values, rest);
  if (verb === 'backup') return { type: 'backup', file: parseFile(verb, rest), ...parseWhere(verb, values) };
  if (verb === 'restore')
    return { type: 'restore', file: parseFile(verb, rest), ...parseRun(values, command) };
  if (verb === 'export') return { type: 'export', ...parseExport(rest), ...parseRun(values, command) };
  if (verb === 'image' && rest.shift() !== 'build')
    throw wrong('What to do with the image: `spare image build`.');
  if (verb !== 'run' && verb !== 'deploy' && verb !== 'image')
    throw wrong(`There is no command ${JSON.stringify(verb)}.`);
  if (rest[0] !== undefined)
    throw wrong(`The service's command goes behind --, before ${JSON.stringify(rest[0])}.`);
  return { type: verb, ...parseRun(values, command) };
}

function parseRun(values: Values, command: readonly string[]): ServiceFlags {
  const { faults, state, listen, admin, data, hypervisor, suspension } = values;
  const flags: Config = {
    ...(faults === undefined ? {} : { faults: parseFaults(faults) }),
    ...(state === undefined ? {} : { state }),
    ...(listen === undefined ? {} : { listen }),
    ...(admin === undefined ? {} : { admin }),
    // Relative to where the call is made, not to the configuration.
    ...(data === undefined ? {} : { data: resolve(data) }),
    // Whether there is such a one is checked with the configuration.
    ...(hypervisor === undefined ? {} : { hypervisor: hypervisor as 'process' | 'qemu' }),
    ...(suspension === undefined ? {} : { suspension: suspension as 'paused' | 'parked' }),
    ...(command.length === 0 ? {} : { command }),
  };
  return { configFile: values.config, flags };
}

type Values = ReturnType<typeof parseFlags>['values'];

function parseWhere(verb: string, values: Values): Where {
  const { config: configFile, data } = values;
  for (const name of Object.keys(values))
    if (name !== 'config' && name !== 'data') throw wrong(`\`spare ${verb}\` takes no --${name}.`);
  return { configFile, data: data === undefined ? undefined : resolve(data) };
}

function parseFile(verb: string, [file, more]: readonly string[]): string {
  if (file === undefined || file === '') throw wrong(`\`spare ${verb}\` needs the name of a file.`);
  if (more !== undefined) throw wrong(`\`spare ${verb}\` takes one file, without ${JSON.stringify(more)}.`);
  return file;
}

function parseExport([file, folder, more]: readonly string[]): {
  readonly file: string;
  readonly folder: string;
} {
  if (file === undefined || file === '' || folder === undefined || folder === '')
    throw wrong('`spare export` needs the name of a file, and that of a folder.');
  if (more !== undefined)
    throw wrong(`\`spare export\` takes a file and a folder, without ${JSON.stringify(more)}.`);
  return { file, folder };
}

function parseReplica(verb: string, [replica, more]: readonly string[]): string {
  if (replica === undefined || replica === '')
    throw wrong(`Which replica is missing, as in \`spare ${verb} r0\`; see /status.`);
  if (more !== undefined) throw wrong(`One replica at a time, without ${JSON.stringify(more)}.`);
  return replica;
}

function parseIncidents(values: Values, [verb, id, more]: readonly string[]): Call {
  const where = parseWhere('incidents', values);
  if (verb === undefined) return { type: 'incidents', id: null, ...where };
  if (verb !== 'show') throw wrong(`There is no command \`incidents ${verb}\`; it is \`incidents show ID\`.`);
  if (id === undefined || more !== undefined || !/^\d{1,15}$/.test(id))
    throw wrong('`spare incidents show` takes one number, as `spare incidents` lists them.');
  return { type: 'incidents', id: Number(id), ...where };
}

/** Its range is checked with the configuration's. */
function parseFaults(text: string): number {
  const faults = Number(text);
  if (Number.isNaN(faults)) throw faultsOutOfRange(JSON.stringify(text));
  return faults;
}

function parseFlags(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    throw wrong(describe(messageOf(error)));
  }
}

/** What Node says of a flag, without its advice on flags that are none. */
function describe(message: string): string {
  const option = /'(?:-\w, )?(--?[^' ]+)/.exec(message)?.[1] ?? '';
  if (message.startsWith('Unknown option')) return `There is no option ${option}.`;
  if (/argument missing|is ambiguous/.test(message)) return `${option} needs a value.`;
  if (message.includes('does not take an argument')) return `${option} takes no value.`;
  return message;
}
