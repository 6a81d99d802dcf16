/**
 * A service's side of the determinism layer, for tests: a folder with a clock page and a tick socket, and real
 * processes under both layers.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SEED_BYTES } from '../../wire/entry.ts';
import { buildPreload } from './build.ts';
import { Clock, type ClockEntry } from './clock.ts';
import { TickServer } from './tick.ts';

const NODE_LAYER = fileURLToPath(new URL('node.mjs', import.meta.url));
const PRELOAD = buildPreload();
/** For `skip`: why tests of the libc layer cannot run here. Never skipped in CI, where they must fail instead. */
export const SKIP_LIBC: string | false =
  PRELOAD === null && process.env['CI'] === undefined ? 'no C compiler to build the libc layer with' : false;

/** Some moment that is neither now nor zero: 2023-11-14T22:13:20Z. */
export const START_MS = 1_700_000_000_000;

/** More than any reply or command here takes: what hangs must fail, not hang the tests. */
const REPLY_MS_MAX = 60_000;

export type Layers = 'both' | 'node' | 'libc';

/** One domain's clock, ticks and processes. Everything ends with it. */
export class Sandbox implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'spare-determinism-'));
  readonly #clock: Clock = new Clock(join(this.folder, 'clock'));
  readonly #children: ChildProcess[] = [];
  #ticks: TickServer | undefined;

  constructor() {
    this.set({});
  }

  /** Writes the page; what is not given is that of entry 0: `START_MS`, and a seed of ones. */
  set(entry: Partial<ClockEntry>): void {
    const seed = Buffer.alloc(SEED_BYTES, 1);
    this.#clock.set({ index: 0, timeMs: START_MS, tickFromMs: START_MS, seed, ...entry });
  }

  /** The request of the page has its reply. */
  answered(): void {
    this.#clock.answered();
  }

  /** Sends a tick command for the span between two agreed times, given in milliseconds after `START_MS`. */
  async tick(from: number, to: number): Promise<void> {
    this.set({ index: to, timeMs: START_MS + to, tickFromMs: START_MS + from });
    await (await this.ticks()).tick(5000);
  }

  async ticks(): Promise<TickServer> {
    return (this.#ticks ??= await TickServer.listen(this.#tickPath));
  }

  get #tickPath(): string {
    return join(this.folder, 'tick');
  }

  env(layers: Layers): NodeJS.ProcessEnv {
    const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'], SPARE_CLOCK: join(this.folder, 'clock') };
    env['SPARE_TICK'] = this.#tickPath;
    if (layers !== 'libc') env['NODE_OPTIONS'] = `--import=${NODE_LAYER}`;
    if (layers === 'node') return env;
    assert.ok(PRELOAD, 'the libc layer is built');
    return { ...env, LD_PRELOAD: PRELOAD };
  }

  /** Standard output of a command under the given layers. */
  async run(layers: Layers, command: string, parts: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(command, parts, {
      env: this.env(layers),
      timeout: REPLY_MS_MAX,
    });
    return stdout;
  }

  /** What an ES module prints, in this version of Node. */
  node(layers: Layers, module: string): Promise<string> {
    return this.run(layers, process.execPath, ['--input-type=module', '-e', module]);
  }

  /** Starts Node, and waits until it prints something or ends. */
  async start(
    layers: Layers,
    parts: readonly string[],
    env: NodeJS.ProcessEnv,
    cwd?: string,
  ): Promise<ChildProcess> {
    const child = spawn(process.execPath, parts, {
      env: { ...this.env(layers), ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.#children.push(child);
    const limit = { signal: AbortSignal.timeout(REPLY_MS_MAX) };
    await Promise.race([once(child.stdout, 'data', limit), once(child, 'exit', limit)]);
    return child;
  }

  /** Starts an HTTP service, a module that listens on `process.env.LISTEN`. Returns a way to ask it. */
  async serve(layers: Layers, module: string): Promise<(path: string, pauseMs?: number) => Promise<string>> {
    await this.ticks();
    const socketPath = join(this.folder, `service-${this.#children.length}`);
    await this.start(layers, ['--input-type=module', '-e', module], { LISTEN: socketPath });
    return (path, pauseMs) => ask({ socketPath, path }, undefined, pauseMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    this.#ticks?.close();
    this.#clock.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The body of a reply, on a connection of its own; reads it only after a pause. */
export async function ask(
  target: { socketPath: string; path: string } | { port: number; path: string; method: string },
  body?: unknown,
  pauseMs = 0,
  extraHeaders: Readonly<Record<string, string>> = {},
): Promise<string> {
  const headers = { 'content-type': 'application/json', ...extraHeaders };
  const asked = request({ ...target, agent: false, headers, signal: AbortSignal.timeout(REPLY_MS_MAX) });
  asked.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = await once(asked, 'response');
  await setTimeout(pauseMs);
  return text(response);
}
