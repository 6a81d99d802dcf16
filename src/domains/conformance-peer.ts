/** What the conformance suite is made of: domains with the scriptable agent in them, and looks at the host. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import type { Domain, DomainLimits, Driver, Opening } from './domain.ts';
import { isAlive } from './process/tree.ts';

export const CONFORMANCE_AGENT: string = fileURLToPath(new URL('./conformance-agent.ts', import.meta.url));

export const MIB: number = 1024 * 1024;
/** For code that the agent runs. */
export const SPAWN: string = `const { spawn } = require('node:child_process');`;
/** A process that left its parent and its session behind; `argument` is the time it sleeps. */
export const DAEMON: string = `${SPAWN}
  const code = "require('child_process').spawn('sleep', [process.argv[1]], { detached: true, stdio: 'ignore' }).unref()";
  spawn(process.execPath, ['-e', code, argument], { detached: true, stdio: 'ignore' });`;

/** Registers one test with a domain of its own, which is destroyed afterwards. */
export type Register = (
  title: string,
  body: (peer: Peer, site: Site, driver: Driver) => Promise<void>,
) => void;

const LIMITS: DomainLimits = { memoryBytes: 256 * MIB, processes: 32 };
let domains = 0;

/** One line of code for the agent, whose answer no `run` waits for. */
export function order(code: string): Buffer {
  return Buffer.from(`${JSON.stringify({ id: 0, code })}\n`);
}

/** Runs `code` in the agent, and waits for its answer. */
export function openingOf(code: string, rehearsal: string): Opening {
  return {
    key: code,
    timeoutMs: 120_000,
    send: (write) => write([order(code)]),
    listen: () => {
      let said = '';
      return (bytes) => {
        said += bytes.toString();
        return said.endsWith('\n') ? 'answered' : 'more';
      };
    },
    rehearsal: [order(rehearsal)],
  };
}

/** For how long at most this process works without a break, by its CPU time: others may keep it from the processor. */
export async function longestWorkMs(lookMs: number): Promise<number> {
  let longest = 0;
  for (const until = performance.now() + lookMs; performance.now() < until;) {
    const start = process.cpuUsage();
    await delay(5);
    const { user, system } = process.cpuUsage(start);
    longest = Math.max(longest, (user + system) / 1000);
  }
  return longest;
}

/** The same driver, but that its machines have these programs of the host, which code of tests calls. */
export function withPrograms(driver: Driver, names: readonly string[]): Driver {
  const include = names.map((name) => `/usr/bin/${name}`);
  return {
    isolation: driver.isolation,
    privateNetwork: driver.privateNetwork,
    start: (spec) => driver.start({ ...spec, image: { ...spec.image, include } }),
  };
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A running domain and the other end of its channel; disposing of it destroys the domain. */
export class Peer implements AsyncDisposable {
  readonly domain: Domain;
  readonly directory: string;
  readonly #sharesKernel: boolean;
  readonly #pending = new Map<number, Pending>();
  #answered = false;
  #calls = 0;

  constructor(domain: Domain, directory: string, sharesKernel: boolean) {
    this.domain = domain;
    this.directory = directory;
    this.#sharesKernel = sharesKernel;
    let rest: string[] = [];
    domain.channel.setEncoding('utf8');
    domain.channel.on('data', (chunk: string) => {
      const parts = chunk.split('\n');
      for (const part of parts.slice(0, -1)) {
        this.#settle(rest.join('') + part);
        rest = [];
      }
      rest.push(parts.at(-1) ?? '');
    });
    domain.channel.on('close', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('the channel is closed'));
      this.#pending.clear();
    });
  }

  /** Runs `code`, the body of an async function that knows `require` and `argument`, in the agent. */
  run(code: string, argument: unknown = null): Promise<unknown> {
    this.#calls += 1;
    const id = this.#calls;
    const answer = new Promise<unknown>((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    // Not every caller waits: a call into a domain that is about to be killed has no answer.
    answer.catch(() => {});
    this.domain.channel.write(`${JSON.stringify({ id, code, argument })}\n`);
    return answer;
  }

  /** What `code` fails with, its result in brackets if it does not fail. */
  async failure(code: string, argument: unknown = null): Promise<string> {
    return this.run(code, argument).then((value) => `[${JSON.stringify(value)}]`, String);
  }

  /**
   * The processes of the host that are there as long as the process with `marker` is there in the domain: itself, or
   * the hypervisor of a machine, whose processes the host does not see.
   */
  seen(marker: string): number[] {
    return findTrace(this.#sharesKernel ? marker : this.domain.pid);
  }

  /** Of a domain that is not parked. */
  get pid(): number {
    assert.ok(this.domain.pid !== null, 'there is a process');
    return this.domain.pid;
  }

  #settle(line: string): void {
    // As the manager does: from its first answer on.
    if (!this.#answered) this.domain.prioritize();
    this.#answered = true;
    const { id, value, error } = JSON.parse(line) as { id: number; value?: unknown; error?: string };
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) pending?.resolve(value);
    else pending?.reject(new Error(error));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.domain.destroy();
  }
}

interface More {
  /** Another path of the service folder. */
  readonly folder?: string;
  readonly leftOut?: readonly string[];
  readonly opening?: Opening;
  readonly renew?: boolean;
}

/** A temporary folder with a service folder and the domains' folders in it, as in a data folder. */
export class Site implements AsyncDisposable {
  readonly base: string;
  readonly folder: string;
  readonly #sharesKernel: boolean;

  private constructor(base: string, sharesKernel: boolean) {
    this.base = base;
    this.folder = join(base, 'service');
    this.#sharesKernel = sharesKernel;
  }

  /** `sharesKernel`: whether the domains' processes are processes of the host. */
  static async create(sharesKernel = true): Promise<Site> {
    const site = new Site(await mkdtemp(join(tmpdir(), 'spare-domain-')), sharesKernel);
    // Readable for all: it is the domain that must keep its processes away, not the permissions of a folder.
    await chmod(site.base, 0o755);
    await mkdir(join(site.folder, 'lib'), { recursive: true });
    await mkdir(join(site.folder, 'data'));
    await mkdir(join(site.base, 'domains'));
    await writeFile(join(site.folder, 'server.mjs'), 'export {};\n');
    await writeFile(join(site.folder, 'lib', 'part.mjs'), 'export {};\n');
    await writeFile(join(site.folder, 'data', 'seed.json'), '{}\n');
    await writeFile(join(site.folder, 'data', 'app.db'), 'state of the host');
    await writeFile(join(site.folder, 'data', 'app.db-wal'), 'log of the host');
    return site;
  }

  async start(driver: Driver, limits: Partial<DomainLimits> = {}, more: More = {}): Promise<Peer> {
    domains += 1;
    const id = `r-${domains}`;
    const directory = join(this.base, 'domains', id);
    await mkdir(directory);
    const image = {
      folder: more.folder ?? this.folder,
      command: [process.execPath, 'server.mjs'],
      env: {},
      state: ['data/app.db'],
    };
    return new Peer(
      await driver.start({
        id,
        image,
        limits: { ...LIMITS, ...limits },
        directory,
        leftOut: more.leftOut ?? [],
        ...(more.opening === undefined ? {} : { opening: more.opening }),
        renew: more.renew ?? false,
      }),
      directory,
      this.#sharesKernel,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.base, { recursive: true, force: true });
  }
}

/** A number that no other process has in its command line. */
export function newMarker(): string {
  return `${100_000 + Math.floor(Math.random() * 900_000)}.${process.pid}${performance.now().toFixed(0)}`;
}

/** The processes that a marker, or a process number, stands for. */
export function findTrace(trace: string | number | null): number[] {
  if (trace === null) return [];
  return typeof trace === 'string' ? findMarked(trace) : [trace].filter(isAlive);
}

/** The host's processes with `marker` in their command line, zombies not included. */
export function findMarked(marker: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(marker);
      } catch {
        return false;
      }
    });
}

/** Waits up to `timeoutMs` for `condition`; answers whether it came true. */
export async function eventually(condition: () => boolean, timeoutMs = 60_000): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) return false;
    await delay(10);
  }
  return true;
}
