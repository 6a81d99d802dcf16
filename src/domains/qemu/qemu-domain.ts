/**
 * A domain that is a virtual machine.
 *
 * V1. The first reason wins: a domain that is destroyed says so, whatever its machine said last.
 * V2. `suspend` and `resume` run one after the other; both are without effect on a domain that has ended.
 * V3. A hypervisor that does not do what it is told is ended: a domain that hangs is one that crashed.
 */
import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';

import { messageOf } from '../../errors.ts';
import type { Domain, DomainUsage } from '../domain.ts';
import { BEHIND_MS_MAX, goAlong, goBehind } from '../process/priority.ts';
import { removeFolder } from '../process/process-domain.ts';
import { readStat } from '../process/tree.ts';
import type { Machine } from './machine.ts';
import type { Running } from './template.ts';

const TICKS_PER_SECOND = 100;
const KIB = 1024;

export class QemuDomain implements Domain {
  readonly pid: number;
  readonly channel: Duplex;
  readonly opened: boolean;
  readonly exited: Promise<string>;
  readonly #machine: Machine;
  readonly #directory: string;
  #turn: Promise<void> = Promise.resolve();
  #usage: DomainUsage = { cpuSeconds: 0, residentBytes: 0, processes: 0 };
  #gone = false;
  #reason: string | undefined;
  #destroyed: Promise<void> | undefined;

  constructor(running: Running, directory: string) {
    const { machine, answer } = running;
    this.pid = machine.pid;
    this.channel = machine.channel;
    this.opened = answer !== undefined;
    if (answer !== undefined) this.channel.unshift(answer);
    this.#machine = machine;
    this.#directory = directory;
    goBehind(machine.pid);
    setTimeout(() => this.prioritize(), BEHIND_MS_MAX).unref();
    this.exited = machine.exited.then((why) => {
      this.#gone = true;
      running.release();
      return this.#reason ?? why;
    });
  }

  suspend(): Promise<void> {
    return this.#inTurn(() => this.#machine.stop());
  }

  resume(): Promise<void> {
    return this.#inTurn(() => this.#machine.run());
  }

  prioritize(): void {
    if (!this.#gone) void goAlong(this.pid);
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy();
    return this.#destroyed;
  }

  /** Of the hypervisor's process; what is shared with other clones does not count. */
  async usage(): Promise<DomainUsage> {
    const stat = this.#gone ? undefined : readStat(this.pid);
    if (stat !== undefined) {
      const cpuSeconds = Math.max(stat.ownTicks / TICKS_PER_SECOND, this.#usage.cpuSeconds);
      this.#usage = { cpuSeconds, residentBytes: ownBytes(this.pid), processes: 1 };
    }
    return this.#usage;
  }

  console(): string {
    return this.#machine.console.text();
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      if (this.#gone || this.#reason !== undefined) return;
      await action().catch((error: unknown) => this.#end(`its hypervisor failed: ${messageOf(error)}`));
    });
    return this.#turn;
  }

  #end(reason: string): void {
    // One that ended by itself says why itself.
    if (readStat(this.pid) !== undefined) this.#reason ??= reason;
    this.#machine.kill();
  }

  async #destroy(): Promise<void> {
    if (!this.#gone) {
      this.#reason ??= 'destroyed';
      this.#machine.kill();
    }
    await this.exited;
    this.channel.destroy();
    await removeFolder(this.#directory);
  }
}

function ownBytes(pid: number): number {
  try {
    const [, kib = '0'] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kib) * KIB;
  } catch {
    return 0;
  }
}
