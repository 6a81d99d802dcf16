/**
 * A domain that is a virtual machine.
 *
 * V1. The first reason wins: a domain that is destroyed says so, whatever its machine said last.
 * V2. `suspend` and `resume` run one after the other; both are without effect on a domain that has ended.
 * V3. A hypervisor that does not do what it is told is ended: a domain that hangs is one that crashed.
 * V4. A hypervisor is watched, also while its machine stands still: one that works then, or holds more than it needs, is ended.
 */
import type { Duplex } from 'node:stream';

import { messageOf } from '../../errors.ts';
import type { Domain, DomainUsage } from '../domain.ts';
import type { Console } from '../process/console.ts';
import { BEHIND_MS_MAX, goAlong, goBehind } from '../process/priority.ts';
import { removeFolder } from '../../remove-folder.ts';
import { readStat, residentBytes, TICKS_PER_SECOND } from '../process/tree.ts';
import { Watchdog } from '../process/watchdog.ts';
import type { Body } from './body.ts';
import type { Running } from './template.ts';

const MIB = 1024 ** 2;

export class QemuDomain implements Domain {
  readonly channel: Duplex;
  readonly opened: boolean;
  readonly exited: Promise<string>;
  readonly #body: Body;
  readonly #console: Console;
  readonly #directory: string;
  readonly #watchdog: Watchdog;
  #turn: Promise<void> = Promise.resolve();
  /** Of machines of it that were parked. */
  #earlierSeconds = 0;
  #usage: DomainUsage = { cpuSeconds: 0, residentBytes: 0, processes: 0 };
  #gone = false;
  #reason: string | undefined;
  #destroyed: Promise<void> | undefined;

  constructor(running: Running, directory: string) {
    const { body, console, answer } = running;
    this.channel = body.channel;
    this.opened = answer !== undefined;
    if (answer !== undefined) this.channel.unshift(answer);
    this.#body = body;
    this.#console = console;
    this.#directory = directory;
    if (this.pid !== null) goBehind(this.pid);
    setTimeout(() => this.prioritize(), BEHIND_MS_MAX).unref();
    this.#watchdog = new Watchdog(
      () => this.#sample(),
      (reason) => this.#end(reason),
    );
    this.exited = body.exited.then((why) => {
      this.#gone = true;
      this.#watchdog.stop();
      running.release();
      return this.#reason ?? why;
    });
  }

  get pid(): number | null {
    return this.#body.machine?.pid ?? null;
  }

  suspend(): Promise<void> {
    return this.#inTurn(async () => {
      const { cpuSeconds } = this.#sample();
      await this.#body.suspend();
      if (this.pid === null) this.#earlierSeconds = cpuSeconds;
      this.#watchdog.suspended();
    });
  }

  resume(): Promise<void> {
    return this.#inTurn(() => {
      this.#watchdog.resumed();
      return this.#body.resume();
    });
  }

  prioritize(): void {
    if (!this.#gone && this.pid !== null) void goAlong(this.pid);
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy();
    return this.#destroyed;
  }

  /** Of the hypervisor's process; what is shared with other clones does not count, what is only on disk neither. */
  async usage(): Promise<DomainUsage> {
    return this.#sample();
  }

  console(): string {
    return this.#console.text();
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      if (this.#gone || this.#reason !== undefined) return;
      await action().catch((error: unknown) => this.#end(`its hypervisor failed: ${messageOf(error)}`));
    });
    return this.#turn;
  }

  #sample(): DomainUsage {
    const { machine, own } = this.#body;
    if (machine === null) this.#usage = { ...this.#usage, residentBytes: 0, processes: 0 };
    const stat = this.#gone || machine === null ? undefined : readStat(machine.pid);
    if (machine === null || stat === undefined) return this.#usage;
    const { pid, bytesMax } = machine;
    const seconds = this.#earlierSeconds + stat.ownTicks / TICKS_PER_SECOND;
    const cpuSeconds = Math.max(seconds, this.#usage.cpuSeconds);
    this.#usage = { cpuSeconds, residentBytes: residentBytes(pid, own), processes: 1 };
    if (residentBytes(pid) > bytesMax) {
      this.#end(`its hypervisor holds more than ${Math.round(bytesMax / MIB)} MiB`);
    }
    return this.#usage;
  }

  #end(reason: string): void {
    // One that ended by itself says why itself.
    if (this.pid === null || readStat(this.pid) !== undefined) this.#reason ??= reason;
    this.#body.kill();
  }

  async #destroy(): Promise<void> {
    if (!this.#gone) {
      this.#reason ??= 'destroyed';
      this.#body.kill();
    }
    await this.exited;
    this.channel.destroy();
    await removeFolder(this.#directory);
  }
}
