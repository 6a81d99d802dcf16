/** A real `spare run` as a child process, with a data folder of its own and free ports. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Status } from '../../src/admin/admin.ts';
import { childrenOf, readStat } from '../../src/domains/process/tree.ts';
import type { Config } from '../../src/index.ts';
import type { Incident } from '../../src/evidence/incidents.ts';

export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url));
export const CONDUIT: string = join(ROOT, 'examples/conduit');
/** The services of the tests, away from the libraries of this project: all that a service can load is part of its image. */
export const SERVICES: string = mkdtempSync(join(tmpdir(), 'spare-services-'));
cpSync(join(ROOT, 'test/services'), SERVICES, { recursive: true });
process.once('exit', () => rmSync(SERVICES, { recursive: true, force: true }));
/** For what must come, not for how soon: the machine may be busy with much else. */
export const PATIENCE_MS = 180_000;
const POLL_MS = 50;

export type SpareConfig = Config & { folder: string };

const PROGRAM = ['bin/spare.mjs', 'run', '--config'];

export class Spare implements AsyncDisposable {
  readonly #folder: string;
  readonly #config: SpareConfig;
  readonly #program: readonly string[];
  #child: ChildProcess | null = null;
  output = '';
  url = '';
  admin = '';

  /** `program`: a file below the root and its arguments; the configuration's file is added. */
  constructor(config: SpareConfig, program: readonly string[] = PROGRAM) {
    this.#program = program;
    this.#folder = mkdtempSync(join(tmpdir(), 'spare-test-'));
    this.#config = config;
  }

  get data(): string {
    return join(this.#folder, 'data');
  }

  /** Written at each start. */
  get configFile(): string {
    return join(this.#folder, 'spare.config.mjs');
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Starts it (again) on the same data; resolves once the group is whole. */
  async start(withinMs: number = PATIENCE_MS): Promise<this> {
    const config = {
      listen: '127.0.0.1:0',
      admin: '127.0.0.1:0',
      data: join(this.#folder, 'data'),
      ...this.#config,
    };
    const file = this.configFile;
    writeFileSync(file, `export default ${JSON.stringify(config)}`);
    this.output = '';
    const [program = '', ...args] = this.#program;
    const child = spawn(process.execPath, [join(ROOT, program), ...args, file], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (text: Buffer) => (this.output += text.toString()));
    await this.until('it is ready', withinMs, () => {
      if (child.exitCode !== null) throw new Error(`spare ended with ${child.exitCode}:\n${this.output}`);
      return this.output.includes('incidents  http');
    });
    this.url = /^service +(\S+)$/m.exec(this.output)?.[1] ?? '';
    this.admin = /^status +(\S+)\/status$/m.exec(this.output)?.[1] ?? '';
    return this;
  }

  async #get<T>(path: string): Promise<T> {
    const reply = await fetch(`${this.admin}${path}`);
    return (await reply.json()) as T;
  }

  status(): Promise<Status> {
    return this.#get<Status>('/status');
  }

  incidents(): Promise<Incident[]> {
    return this.#get<Incident[]>('/incidents');
  }

  async until(what: string, withinMs: number, check: () => boolean | Promise<boolean>): Promise<void> {
    const end = performance.now() + withinMs;
    while (!(await check())) {
      if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}\n${this.output}`);
      await delay(POLL_MS);
    }
  }

  /** f+1 active ones run and f+1 passive ones sleep. */
  async whole(withinMs: number = PATIENCE_MS): Promise<void> {
    const { faults = 1 } = this.#config;
    await this.until('the group is whole', withinMs, async () => {
      const { replicas } = await this.status();
      const active = replicas.filter(({ role, state }) => role === 'active' && state === 'running');
      const passive = replicas.filter(({ role, state }) => role === 'passive' && state === 'suspended');
      return (
        active.length === faults + 1 && passive.length === faults + 1 && replicas.length === 2 * faults + 2
      );
    });
  }

  /** Host pids of the active replicas' agents. */
  async activePids(): Promise<{ id: string; pid: number }[]> {
    const { replicas } = await this.status();
    return replicas.flatMap(({ id, role, pid }) => (role === 'active' && pid !== null ? [{ id, pid }] : []));
  }

  /** One that is active, to do something to. */
  async victim(): Promise<{ id: string; pid: number }> {
    const [first] = await this.activePids();
    assert.ok(first !== undefined, this.output);
    return first;
  }

  /** To a program that listens for what its parent says. */
  tell(message: object): void {
    this.#child?.send(message);
  }

  async signal(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null)
      return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
    return child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.signal('SIGINT');
    removeAll(this.#folder);
  }
}

/** Also what processes have not ended in yet, as of a group that was just killed: where one removes a file meanwhile, `rmSync` ends early. */
export function removeAll(folder: string): void {
  while (existsSync(folder))
    rmSync(folder, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
}

/** The process and all that descend from it, parents first. */
export function treeOf(pid: number): number[] {
  return readStat(pid) === undefined ? [] : [pid, ...childrenOf(pid).flatMap(treeOf)];
}

export function signalTree(pid: number, signal: NodeJS.Signals): void {
  assert.ok(pid > 0, 'a signal to nobody goes to all');
  for (const member of treeOf(pid)) {
    try {
      process.kill(member, signal);
    } catch (error) {
      // It went with the one before.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
}
