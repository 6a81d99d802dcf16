/**
 * The ways in which a service is run to be compared:
 *
 * - `bare`: the service alone, as its command says, no preload. Its database is in WAL mode like a replica's, and
 *   lies on the same disk; SQLite's own durability (`synchronous`) is what the service's binding sets.
 * - `bare-default`: the same with the journal that the binding chooses by itself.
 * - `spare`: `spare run`, f=1, process driver: two replicas execute, two are suspended. Durable in the order.
 * - `always-active`: three replicas execute and vote, two equal votes decide (`always-active.ts`): the same front,
 *   order, store, domains, agents and state capture as `spare`.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../src/manager/port.ts';
import { end, outputOf, startNode } from './processes.ts';
import type { Service } from './services.ts';
import { count, type Status, statusOf, untilStatus } from './status.ts';

export type ModeName = 'bare' | 'bare-default' | 'spare' | 'always-active';

const START_TIMEOUT_MS = 90_000;
const SETTLE_TIMEOUT_MS = 30_000;
/** For what is written shortly after the last reply. */
const SETTLE_MS = 100;
const POLL_MS = 50;

const SPARE = fileURLToPath(new URL('../bin/spare.mjs', import.meta.url));
const ALWAYS_ACTIVE = fileURLToPath(new URL('./always-active.ts', import.meta.url));

/** What every process started here sees; the same Node for all of them. */
function baseEnvironment(): Record<string, string> {
  const path = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
  return { PATH: path, HOME: process.env['HOME'] ?? '/tmp', LANG: 'C.UTF-8', TZ: 'UTC' };
}

export class RunningMode {
  readonly name: ModeName;
  readonly port: number;
  readonly pid: number;
  /** Null where nothing is replicated. */
  readonly adminPort: number | null;
  readonly #child: ChildProcess;

  constructor(name: ModeName, child: ChildProcess, port: number, adminPort: number | null) {
    this.name = name;
    this.port = port;
    this.pid = child.pid ?? 0;
    this.adminPort = adminPort;
    this.#child = child;
  }

  /** Resolves once all work for what was answered is done, also by the replica that was not waited for. */
  async settled(): Promise<void> {
    await delay(SETTLE_MS);
    if (this.adminPort === null) return;
    const before = await statusOf(this.adminPort);
    const ordered = before?.ordered ?? 0;
    const done = ({ replicas }: Status): boolean =>
      replicas.every(({ state, applied }) => state !== 'running' || applied >= ordered);
    if (before !== null && done(before)) return;
    await untilStatus(this.adminPort, done, { pollMs: POLL_MS, timeoutMs: SETTLE_TIMEOUT_MS });
  }

  /** Throws an Error when it is not the whole group any more that was measured. */
  async assertWhole(): Promise<void> {
    if (this.adminPort === null) return;
    const status = await statusOf(this.adminPort);
    if (status === null || status.incidents > 0 || !isWhole(this.name, status)) {
      throw new Error(`${this.name}: replicas were lost while it was measured: ${JSON.stringify(status)}`);
    }
  }

  async stop(): Promise<void> {
    await end(this.#child);
  }
}

function isWhole(name: ModeName, status: Status): boolean {
  if (name === 'always-active') return count(status, 'running') === 3;
  // One suspended replica may be awake for a moment, to be brought up to date.
  return count(status, 'running') + count(status, 'suspended') === 4 && count(status, 'running') >= 2;
}

function reachable(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function untilReady(child: ChildProcess, test: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + START_TIMEOUT_MS;
  while (!(await test())) {
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (ended || performance.now() > until) {
      throw new Error(`It did not start: ${child.spawnargs.join(' ')}\n${outputOf(child)}`);
    }
    await delay(POLL_MS);
  }
}

async function startBare(name: ModeName, service: Service, folder: string): Promise<RunningMode> {
  mkdirSync(folder, { recursive: true });
  const database = join(folder, service.state);
  if (name === 'bare') {
    const db = new DatabaseSync(database);
    db.exec('pragma journal_mode = wal');
    db.close();
  }
  const port = await freePort();
  const env = { ...baseEnvironment(), PORT: String(port), DATABASE: database };
  const child = startNode(service.command.slice(1), { cwd: service.folder, env });
  await untilReady(child, () => reachable(port));
  return new RunningMode(name, child, port, null);
}

async function startReplicated(
  name: 'spare' | 'always-active',
  folder: string,
  program: (port: number, adminPort: number) => readonly string[],
): Promise<RunningMode> {
  mkdirSync(folder, { recursive: true });
  const [port, adminPort] = [await freePort(), await freePort()];
  const child = startNode(program(port, adminPort), { cwd: folder, env: baseEnvironment() });
  await untilReady(child, async () => {
    const status = await statusOf(adminPort);
    return status !== null && isWhole(name, status);
  });
  return new RunningMode(name, child, port, adminPort);
}

/** With `config`, or the service's own configuration file. */
export async function startSpare(
  service: Service,
  folder: string,
  config: string = join(service.folder, 'spare.config.ts'),
): Promise<RunningMode> {
  return await startReplicated('spare', folder, (port, adminPort) => {
    const addresses = ['--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${adminPort}`];
    const where = ['--config', config, '--data', join(folder, 'data')];
    return [SPARE, 'run', ...where, ...addresses, '--', ...service.command];
  });
}

async function startAlwaysActive(service: Service, folder: string): Promise<RunningMode> {
  return await startReplicated('always-active', folder, (port, adminPort) => {
    const addresses = ['--listen', String(port), '--admin', String(adminPort)];
    const where = ['--folder', service.folder, '--state', service.state, '--data', join(folder, 'data')];
    return [ALWAYS_ACTIVE, ...where, ...addresses, '--', ...service.command];
  });
}

/** Resolves when it answers requests. `folder` is for its files. */
export async function startMode(name: ModeName, service: Service, folder: string): Promise<RunningMode> {
  switch (name) {
    case 'bare':
    case 'bare-default':
      return await startBare(name, service, folder);
    case 'spare':
      return await startSpare(service, folder);
    case 'always-active':
      return await startAlwaysActive(service, folder);
  }
}
