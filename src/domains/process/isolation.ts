/**
 * The levels of isolation, strongest first, and which of them this host really offers: each is tried by starting
 * a domain that runs `true`, once per manager, because a program that is installed may still be forbidden to work.
 *
 * V1. A weaker level is taken only where a stronger one was tried and does not work, not where it could not be tried.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { messageOf, SpareError } from '../../errors.ts';
import { type BubblewrapForm, bubblewrapCommand } from './bubblewrap.ts';
import { type Command, sendArguments } from './command.ts';
import { plainCommand, unshareCommand } from './fallback.ts';
import { findTool } from './paths.ts';
import { prepare, type Prepared } from './prepare.ts';
import { takeOwner } from './owners.ts';
import { failureOf, versionOf } from './trial.ts';

/** `bubblewrap-root` is what root gets where it cannot nest; see `bubblewrap.ts`. */
export type Level = 'bubblewrap' | 'bubblewrap-root' | 'unshare' | 'plain';

export interface Isolation {
  readonly level: Level;
  /** One line for the operator. */
  readonly description: string;
  /** Whether a service may use any port, or shares them with the host. */
  readonly privateNetwork: boolean;
  /** Whether files of the host are hidden and the service folder keeps its path. */
  readonly privateView: boolean;
  /** Whether the domain has a first process of its own that takes all others along. */
  readonly pidNamespace: boolean;
  /** Whether each domain runs as a user of the host that owns nothing. */
  readonly ownUser: boolean;
  command(prepared: Prepared): Command;
}

const PROBE_TIMEOUT_MS = 10_000;
const LEVELS: readonly Level[] = ['bubblewrap', 'bubblewrap-root', 'unshare', 'plain'];
const probes = new Map<Level, Promise<Isolation | string>>();

/** The strongest level that works, or the one asked for. Throws `domain-start-failed` when that does not work, or V1. */
export async function chooseIsolation(only?: Level): Promise<Isolation> {
  const failures: string[] = [];
  for (const level of only === undefined ? LEVELS : [only]) {
    const found = await tried(level);
    if (typeof found === 'string') {
      failures.push(found);
    } else if (failures.length === 0) {
      return found;
    } else {
      return { ...found, description: `${found.description}; ${failures.join('; ')}` };
    }
  }
  throw new SpareError('domain-start-failed', `No domain can be started: ${failures.join('; ')}.`, {
    hint: 'Install bubblewrap, or let Spare choose the strongest isolation that works here.',
  });
}

/** The level, or why it does not work. */
function tried(level: Level): Promise<Isolation | string> {
  const known = probes.get(level);
  if (known !== undefined) return known;
  const probe = tryLevel(level).catch((error: unknown) => {
    const message = `Isolation by ${level} cannot be tried: ${messageOf(error)}.`;
    // Not as its cause: where that is want of room, it is none in the data folder (`roomOrOther`).
    throw new SpareError('domain-start-failed', message, {
      hint: `That needs room in ${tmpdir()} (TMPDIR names another folder), and some time of the processor.`,
    });
  });
  probes.set(level, probe);
  return probe;
}

async function tryLevel(level: Level): Promise<Isolation | string> {
  switch (level) {
    case 'bubblewrap':
    case 'bubblewrap-root':
      return tryBubblewrap(level);
    case 'unshare':
      return tryUnshare();
    case 'plain':
      return {
        level,
        description: 'none (plain processes)',
        privateNetwork: false,
        privateView: false,
        pidNamespace: false,
        ownUser: false,
        command: (prepared) => plainCommand(findTool('setpriv'), prepared),
      };
  }
}

async function tryBubblewrap(level: 'bubblewrap' | 'bubblewrap-root'): Promise<Isolation | string> {
  const root = process.getuid?.() === 0;
  if (level === 'bubblewrap-root' && !root) return 'bubblewrap-root: only for root';
  const bwrap = findTool('bwrap');
  if (bwrap === undefined) return `${level}: bwrap not found`;
  const setpriv = findTool('setpriv');
  if (root && setpriv === undefined) return `${level}: setpriv not found`;
  const version = await versionOf(bwrap);
  if (version === null) return `${level}: ${bwrap} does not tell its version`;
  const form: BubblewrapForm = level === 'bubblewrap-root' ? 'root' : root ? 'nested' : 'user';
  return trial({
    level,
    description: form === 'root' ? `${version} (without user namespace)` : version,
    privateNetwork: true,
    privateView: true,
    pidNamespace: true,
    ownUser: root,
    command: (prepared) => bubblewrapCommand(form, { bwrap, setpriv }, prepared),
  });
}

async function tryUnshare(): Promise<Isolation | string> {
  const unshare = findTool('unshare');
  const setpriv = findTool('setpriv');
  if (unshare === undefined || setpriv === undefined) return 'unshare: util-linux not found';
  const offer = (ip: string | undefined): Isolation => ({
    level: 'unshare',
    description: `unshare (processes${ip === undefined ? '' : ' and network'} only; the host's files are visible)`,
    privateNetwork: ip !== undefined,
    privateView: false,
    pidNamespace: true,
    ownUser: false,
    command: (prepared) => unshareCommand({ unshare, setpriv, ip }, prepared),
  });
  const ip = findTool('ip');
  const withNetwork = ip === undefined ? 'no ip' : await trial(offer(ip));
  return typeof withNetwork === 'string' ? trial(offer(undefined)) : withNetwork;
}

/** Starts `true` as a domain would be started. */
async function trial(isolation: Isolation): Promise<Isolation | string> {
  const base = await mkdtemp(join(tmpdir(), 'spare-probe-'));
  const owner = isolation.ownUser ? takeOwner() : undefined;
  try {
    const folder = join(base, 'service');
    const directory = join(base, 'domain');
    await mkdir(folder);
    await mkdir(directory);
    const prepared = await prepare(
      {
        id: 'probe',
        image: { folder, command: ['/bin/sh'], env: {}, state: [] },
        limits: { memoryBytes: 256 * 1024 ** 2, processes: 16 },
        directory,
      },
      { privateView: isolation.privateView, owner, agent: undefined },
    );
    const command = isolation.command(prepared);
    const failure = await failureOf(command.argv, {
      env: prepared.env,
      timeoutMs: PROBE_TIMEOUT_MS,
      stdio: ['pipe', 'pipe', 'pipe'],
      send: (child) => sendArguments(child, command),
    });
    return failure === undefined ? isolation : `${isolation.level}: ${failure}`;
  } finally {
    owner?.release();
    await rm(base, { recursive: true, force: true });
  }
}
