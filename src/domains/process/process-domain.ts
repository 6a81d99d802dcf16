/**
 * A domain that is a process tree: stops and continues it, watches its limits, and ends it.
 *
 * L1. Whoever ends the domain, `exited` resolves only once no process of it is left.
 * L2. The first reason wins: a domain that is ended for its memory says so, whatever its processes said last.
 * L3. `suspend` and `resume` run one after the other; both are without effect on a domain that has ended.
 * L4. A suspended domain is watched, too: a process can have a timer of its own send it the signal that continues it. Who works
 *     nevertheless is ended.
 */
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

import { removeFolder } from '../../remove-folder.ts';
import type { Domain, DomainLimits, DomainUsage } from '../domain.ts';
import { Accounting } from './accounting.ts';
import { type Exit, killGroup, type Running, signalName } from './launch.ts';
import { BEHIND_MS_MAX, goAlong, goBehind } from './priority.ts';
import { isAlive, isThere, readStat, type Seen } from './tree.ts';
import { Watchdog } from './watchdog.ts';

const STOP_TIMEOUT_MS = 1000;
const END_TIMEOUT_MS = 20_000;
const POLL_MS = 2;
const MIB = 1024 * 1024;
/** What a child may have borrowed does not count, but for who is above the limit at every look: memory could change hands for ever. */
const BORROWED_LOOKS_MAX = 20;
/**
 * Stopped, traced, dead, or waiting in the kernel: the last one has its SIGSTOP pending and executes nothing before
 * it takes effect (a parent in vfork waits like this for a child that is stopped).
 */
const QUIET = new Set(['T', 't', 'Z', 'X', 'D']);

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already, which is as good.
  }
}

/** A zombie has taken its namespace along already; whoever inherited it may be slow to reap it. */
function lives(seen: Seen): boolean {
  return isAlive(seen.pid) && isThere(seen);
}

/** `exit status 1`, `killed by SIGKILL`; wrappers report a signal as 128 + its number. */
function describe({ code, signal: name }: Exit): string {
  if (name !== null) return `killed by ${name}`;
  const ended = signalName((code ?? 0) - 128);
  return ended === undefined ? `exit status ${code ?? 'unknown'}` : `killed by ${ended}`;
}

export class ProcessDomain implements Domain {
  readonly pid: number;
  readonly channel: Duplex;
  readonly opened = false;
  readonly exited: Promise<string>;
  readonly #running: Running;
  readonly #limits: DomainLimits;
  readonly #directory: string;
  readonly #accounting: Accounting;
  readonly #watchdog: Watchdog;
  #turn: Promise<void> = Promise.resolve();
  /** Looks in a row at which it was above its memory limit. */
  #aboveLooks = 0;
  #gone = false;
  #reason: string | undefined;
  #destroyed: Promise<void> | undefined;

  /** `onGone` is called once, when no process is left. */
  constructor(running: Running, limits: DomainLimits, directory: string, onGone: () => void) {
    this.pid = running.agent;
    this.channel = running.channel;
    this.#running = running;
    this.#limits = limits;
    this.#directory = directory;
    this.#accounting = new Accounting(running.init?.pid);
    goBehind(running.agent);
    setTimeout(() => this.prioritize(), BEHIND_MS_MAX).unref();
    this.#watchdog = new Watchdog(
      () => this.#sample(),
      (reason) => this.#end(reason),
    );
    this.exited = running.exit.then(async (exit) => {
      this.#watchdog.stop();
      const clean = await this.#waitUntilGone();
      this.#gone = true;
      running.guardian.release();
      onGone();
      const reason = this.#reason ?? describe(exit);
      return clean ? reason : `${reason}; some of its processes do not end`;
    });
  }

  suspend(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#stop();
      this.#watchdog.suspended();
    });
  }

  resume(): Promise<void> {
    return this.#inTurn(async () => {
      for (const pid of this.#pids()) signal(pid, 'SIGCONT');
      this.#watchdog.resumed();
    });
  }

  prioritize(): void {
    if (!this.#gone) void goAlong(this.pid);
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy();
    return this.#destroyed;
  }

  async usage(): Promise<DomainUsage> {
    return this.#sample();
  }

  console(): string {
    return this.#running.console.text();
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(() => (this.#isEnding() ? undefined : action()));
    return this.#turn;
  }

  async #stop(): Promise<void> {
    const deadline = performance.now() + STOP_TIMEOUT_MS;
    for (let last = ''; performance.now() < deadline;) {
      const pids = this.#pids((pid) => signal(pid, 'SIGSTOP'));
      const found = pids.join();
      const quiet = pids.every((pid) => QUIET.has(readStat(pid)?.state ?? 'X'));
      // Only a second look that finds the same shows that none slipped away during the first.
      if (quiet && found === last) return;
      last = quiet ? found : '';
      await (quiet ? undefined : delay(1));
    }
    // A busy host has not given them time to stop. They have their signal: none executes anything of its own.
  }

  #isEnding(): boolean {
    return this.#gone || this.#reason !== undefined;
  }

  /** Ends the domain if there are more processes than it may have: to look at all of them could take for ever. */
  #pids(before?: (pid: number) => void): number[] {
    const pids = this.#running.tree.pids(this.#limits.processes, before);
    if (pids.length > this.#limits.processes) this.#end(`process limit (${this.#limits.processes}) exceeded`);
    return pids;
  }

  #sample(): DomainUsage {
    if (this.#gone) return this.#accounting.usage;
    const usage = this.#accounting.sample(this.#pids());
    const { memoryBytes } = this.#limits;
    const aboveBytes = usage.residentBytes - memoryBytes;
    this.#aboveLooks = aboveBytes > 0 ? this.#aboveLooks + 1 : 0;
    if (aboveBytes > this.#accounting.borrowedBytes || this.#aboveLooks > BORROWED_LOOKS_MAX) {
      this.#end(`memory limit (${Math.round(memoryBytes / MIB)} MiB) exceeded`);
    }
    return usage;
  }

  #end(reason: string): void {
    this.#reason ??= reason;
    this.#kill();
  }

  #kill(): void {
    // To end takes a processor, too: behind all others, many processes would be at it for long.
    this.prioritize();
    const { child, init, above, tree } = this.#running;
    if (init !== undefined && lives(init)) signal(init.pid, 'SIGKILL');
    killGroup(child);
    // Whoever of them is stopped does not end by itself.
    for (const one of above) if (lives(one)) signal(one.pid, 'SIGKILL');
    if (init === undefined) for (const pid of tree.pids(Infinity)) signal(pid, 'SIGKILL');
  }

  /** False if the system did not end them in time. */
  async #waitUntilGone(): Promise<boolean> {
    const { init, above, tree } = this.#running;
    const isLeft = (): boolean =>
      above.some(lives) || (init === undefined ? tree.pids(1).length > 0 : lives(init));
    const deadline = performance.now() + END_TIMEOUT_MS;
    // Without a namespace a process can be missed in the moment it changes its parent or its program; on a busy host that takes long.
    for (let missing = 0, looks = init === undefined ? 10 : 1; missing < looks;) {
      missing = isLeft() ? 0 : missing + 1;
      if (missing === looks) break;
      if (missing === 0) this.#kill();
      if (performance.now() > deadline) return false;
      await delay(POLL_MS);
    }
    return true;
  }

  async #destroy(): Promise<void> {
    if (!this.#gone) this.#end('destroyed');
    await Promise.race([this.exited, delay(2 * END_TIMEOUT_MS, undefined, { ref: false })]);
    this.channel.destroy();
    this.#running.child.stdout?.destroy();
    this.#running.child.stderr?.destroy();
    await removeFolder(this.#directory);
  }
}
