/** One call of `spare` as a child process, for what it says, how it ends, and what it leaves behind. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { readStat } from '../../src/domains/process/tree.ts';
import { PATIENCE_MS, removeAll, ROOT, treeOf } from './spare.ts';

const POLL_MS = 10;
const GONE_MS = 30_000;

/** What tells a process from a later one of the same number; null when it is gone or a zombie. */
function identity(pid: number): string | null {
  const stat = readStat(pid);
  return stat === undefined || stat.state === 'Z' ? null : `${pid}/${stat.startTicks}`;
}

/** What a call that ends by itself says, and its exit status. */
export async function call(...args: string[]): Promise<{ status: number; text: string }> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'bin/spare.mjs'), ...args]);
    return { status: 0, text: stdout };
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string };
    return { status: code, text: stderr };
  }
}

/** A throw-away service folder; the data folder is `data` in it. */
export class Place implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'spare-call-'));

  write(name: string, text: string): this {
    mkdirSync(dirname(join(this.folder, name)), { recursive: true });
    writeFileSync(join(this.folder, name), text);
    return this;
  }

  /** Writes the configuration, with free ports; a key that is `undefined` is left out. */
  configure(config: Readonly<Record<string, unknown>>): this {
    const whole = { listen: '127.0.0.1:0', admin: '127.0.0.1:0', data: 'data', ...config };
    return this.write('spare.config.mjs', `export default ${JSON.stringify(whole)};`);
  }

  /** Runs the group of its configuration. `descriptorsMax`: as of `Call`. */
  run(descriptorsMax?: number): Call {
    return new Call(this.folder, ['run', '--config', 'spare.config.mjs'], descriptorsMax);
  }

  /** All files, sorted, to compare before and after. */
  files(): string[] {
    return readdirSync(this.folder, { recursive: true, encoding: 'utf8' }).sort();
  }

  [Symbol.dispose](): void {
    removeAll(this.folder);
  }
}

export class Call implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #seen = new Set<string>();
  stdout = '';
  stderr = '';
  readonly #begun = performance.now();
  #ended = false;

  /** `descriptorsMax`: how many files and connections it may have open. */
  constructor(folder: string, args: readonly string[], descriptorsMax: number | 'unlimited' = 'unlimited') {
    const spare = [process.execPath, join(ROOT, 'bin/spare.mjs'), ...args];
    const limited = ['/bin/sh', '-c', `ulimit -n ${descriptorsMax}; exec "$@"`, 'sh', ...spare];
    const [program = '', ...rest] = descriptorsMax === 'unlimited' ? spare : limited;
    const child = spawn(program, rest, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    child.stdout.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    child.on('close', () => (this.#ended = true));
  }

  /** Resolves once `check` says so; throws when the call ends before, or nothing comes of it. */
  async until(check: () => boolean): Promise<this> {
    while (!check()) {
      if (this.#ended) throw new Error(`it ended: ${this.stdout}${this.stderr}`);
      await this.#look();
    }
    return this;
  }

  /** Resolves once the group that it runs is whole, with the addresses of its service and its status. */
  async ready(): Promise<{ service: string; status: string }> {
    await this.until(() => this.stdout.includes('incidents  http'));
    const url = (name: string): string =>
      new RegExp(`^${name} +(http\\S+)$`, 'm').exec(this.stdout)?.[1] ?? '';
    return { service: url('service'), status: url('status') };
  }

  async #look(): Promise<void> {
    for (const pid of this.tree()) {
      const found = identity(pid);
      if (found !== null) this.#seen.add(found);
    }
    if (performance.now() - this.#begun > PATIENCE_MS)
      throw new Error(`too long: ${this.stdout}${this.stderr}`);
    await delay(POLL_MS);
  }

  /** It and all that it started. */
  tree(): number[] {
    return treeOf(this.#child.pid ?? 0);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The exit status, or the signal that ended it. */
  async end(): Promise<number | NodeJS.Signals | null> {
    while (!this.#ended) await this.#look();
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  /** Processes that were seen below it and have not ended. */
  async left(): Promise<string[]> {
    const until = performance.now() + GONE_MS;
    for (;;) {
      const left = [...this.#seen].filter((found) => identity(Number.parseInt(found, 10)) === found);
      if (left.length === 0 || performance.now() > until) return left;
      await delay(POLL_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    const closed = once(this.#child, 'close');
    this.kill('SIGKILL');
    await closed;
  }
}
