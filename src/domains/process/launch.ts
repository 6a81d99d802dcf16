/**
 * Starts the processes of a domain and waits until the agent's program runs; whatever it does then is its own.
 *
 * The agent is found by walking down from the process that was started, through bubblewrap, setpriv and sh, to
 * the one that executes Node with the agent's file.
 */
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

import { messageOf, SpareError } from '../../errors.ts';
import { type Guarded, guarded, type Guardian } from '../../guardian.ts';
import { spawnPiped } from '../../spawn.ts';
import { type Command, endedFirst, sendArguments } from './command.ts';
import { Console } from './console.ts';
import type { Isolation } from './isolation.ts';
import type { Prepared } from './prepare.ts';
import {
  childrenOf,
  commandLine,
  markedTree,
  namespaceTree,
  type ProcessTree,
  readStat,
  type Seen,
} from './tree.ts';

/** How the process that was started ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Running {
  readonly child: ChildProcess;
  readonly agent: number;
  /** The first process of its pid namespace, if it has one of its own. */
  readonly init: Seen | undefined;
  /** Between the one that was started and the domain. They are of its group, and go with it, unless it went first. */
  readonly above: readonly Seen[];
  readonly tree: ProcessTree;
  readonly channel: Duplex;
  readonly console: Console;
  readonly exit: Promise<Exit>;
  /** To be released once the domain is gone. */
  readonly guardian: Guardian;
}

const START_TIMEOUT_MS = 30_000;
const POLL_MS = 2;

/** Throws `domain-start-failed`, with nothing left running. */
export async function launch(isolation: Isolation, prepared: Prepared): Promise<Running> {
  const command = isolation.command(prepared);
  const marker = `SPARE_RUN=${prepared.env['SPARE_RUN']}`;
  let spawned: Guarded<ChildProcess>;
  try {
    spawned = guarded(isolation.pidNamespace ? '' : marker, () => spawnDomain(isolation, prepared, command));
  } catch (error) {
    throw notStarted(isolation, messageOf(error));
  }
  const { started: child, guardian } = spawned;
  if (child.pid !== undefined) guardian.watch(-child.pid);
  let failure: string | undefined;
  const exit = new Promise<Exit>((resolve) => {
    child.once('error', (error) => {
      failure = error.message;
      resolve({ code: null, signal: null });
    });
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  const output = new Console();
  if (child.stdout !== null) output.attach(child.stdout);
  if (child.stderr !== null) output.attach(child.stderr);
  const channel = child.stdio[3] as Duplex;
  // The other end may be gone at any time; whoever reads sees the end, and `exited` tells why.
  channel.on('error', () => {});
  sendArguments(child, command);
  const path = await findAgent(child, prepared.command);
  const agent = path?.at(-1);
  const init = isolation.pidNamespace ? readStat(path?.at(-2) ?? 0) : undefined;
  if (agent === undefined || (isolation.pidNamespace && init === undefined)) {
    killGroup(child);
    guardian.release();
    channel.destroy();
    await exit;
    throw notStarted(isolation, failure ?? lastLine(output));
  }
  guardian.watch(init?.pid ?? agent);
  const above = (path ?? []).slice(1, init === undefined ? -1 : -2).flatMap((pid) => readStat(pid) ?? []);
  const tree = init === undefined ? markedTree(agent, marker) : namespaceTree(init.pid);
  return { child, agent, init, above, tree, channel, console: output, exit, guardian };
}

function spawnDomain(isolation: Isolation, prepared: Prepared, command: Command): ChildProcess {
  const [file = '', ...args] = endedFirst(command.argv);
  return spawnPiped(file, args, {
    env: prepared.env,
    cwd: isolation.privateView ? '/' : prepared.work,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
}

function notStarted(isolation: Isolation, why: string): SpareError {
  return new SpareError('domain-start-failed', `The domain did not start: ${why}`, {
    hint: `It was to be isolated by: ${isolation.description}.`,
  });
}

/** Undefined for what is the number of none. */
export function signalName(number: number): string | undefined {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
}

/** Ends what was started, unless that has ended itself: from then on its number may be somebody else's. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It ends in this very moment.
  }
}

/** The processes from the one started down to the agent, or nothing if it ended or took too long. */
async function findAgent(child: ChildProcess, command: readonly string[]): Promise<number[] | undefined> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    const path = [child.pid];
    for (let next = child.pid; ;) {
      const line = commandLine(next);
      if (command.every((argument, index) => line[index] === argument)) return path;
      const below = childrenOf(next)[0];
      if (below === undefined) break;
      path.push(below);
      next = below;
    }
    if (performance.now() > deadline) break;
    await delay(POLL_MS);
  }
  return undefined;
}

function lastLine(output: Console): string {
  return output.text().trim().split('\n').at(-1) || 'it ended without a message';
}
