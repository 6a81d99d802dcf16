/**
 * The machine of one domain, and the two depths of its suspension: it stands still and keeps its memory, or it is parked: its
 * memory is a file on disk, the rest of it a few hundred KiB, and there is no process.
 *
 * B1. Nothing on its way through the channel is lost by parking: the manager holds both ends, and hands one of them to each
 *     machine in turn.
 * B2. `exited` tells of the end of the domain: not of a machine that went because it was parked.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';

import type { MemoryKind } from '../process/tree.ts';
import type { Machine } from './machine.ts';

/** What becomes of a machine that is suspended. */
export type Suspension = 'paused' | 'parked';

export interface Body {
  /** What counts of the memory of its process: the file that it maps may be that of a template. */
  readonly own: readonly MemoryKind[];
  readonly channel: Duplex;
  /** Null while it is parked. */
  readonly machine: Machine | null;
  /** Why its last machine ended, for a person. Never rejects. */
  readonly exited: Promise<string>;
  suspend(): Promise<void>;
  resume(): Promise<void>;
  kill(): void;
}

/** Keeps its memory while it is suspended. */
export class PausedBody implements Body {
  readonly own = ['RssAnon'] as const;
  readonly machine: Machine;
  readonly channel: Duplex;
  readonly exited: Promise<string>;

  constructor(machine: Machine) {
    this.machine = machine;
    this.channel = machine.channel;
    this.exited = machine.exited;
  }

  suspend(): Promise<void> {
    return this.machine.stop();
  }

  resume(): Promise<void> {
    return this.machine.run();
  }

  kill(): void {
    this.machine.kill();
  }
}

/** Both ends of a channel. */
export interface ChannelEnds {
  readonly manager: Socket;
  readonly machine: Socket;
}

export interface Parking {
  readonly ends: ChannelEnds;
  /** Another machine with the same memory file, not running. */
  start(): Machine;
}

/** Is on disk while it is suspended. */
export class ParkedBody implements Body {
  readonly own = ['RssAnon', 'RssFile'] as const;
  readonly channel: Duplex;
  readonly exited: Promise<string>;
  readonly #parking: Parking;
  #machine: Machine | null = null;
  #state: Buffer | null = null;
  #killed = false;
  #ended: (why: string) => void = () => {};

  constructor(machine: Machine, parking: Parking) {
    this.channel = parking.ends.manager;
    this.#parking = parking;
    const ended = new Promise<string>((resolve) => (this.#ended = resolve));
    // Nobody else has that end any more: whoever reads the channel learns that it is over.
    this.exited = ended.finally(() => parking.ends.machine.destroy());
    this.#follow(machine);
  }

  get machine(): Machine | null {
    return this.#machine;
  }

  async suspend(): Promise<void> {
    const machine = this.#machine;
    if (machine === null) return;
    await machine.stop();
    const state = await machine.save();
    // Who was killed meanwhile is not parked: its end is that of the domain.
    if (this.#killed) return;
    this.#state = state;
    this.#machine = null;
    machine.kill();
    await machine.exited;
  }

  async resume(): Promise<void> {
    const state = this.#state;
    if (state === null) return;
    this.#state = null;
    const machine = this.#parking.start();
    this.#follow(machine);
    await machine.open();
    await machine.load(state);
    await machine.run();
  }

  kill(): void {
    this.#killed = true;
    if (this.#machine === null) this.#ended('killed while it was parked');
    else this.#machine.kill();
  }

  #follow(machine: Machine): void {
    this.#machine = machine;
    void machine.exited.then((why) => {
      if (this.#machine === machine) this.#ended(why);
    });
  }
}

/** Through a socket in a folder that only the manager's user can enter, for as long as it takes. */
export async function openChannel(): Promise<ChannelEnds> {
  const folder = await mkdtemp(join(tmpdir(), 'spare-channel-'));
  const path = join(folder, 'channel');
  // The machine's end is not read here.
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  try {
    await once(server.listen(path), 'listening');
    const manager = connect(path);
    const machine = await new Promise<Socket>((resolve, reject) => {
      server.on('error', reject).once('connection', resolve);
      // As it is when there is no descriptor for the other end.
      manager.on('error', reject).once('close', () => reject(new Error('a channel without other end')));
    });
    // The other end may be gone at any time; `exited` tells why.
    for (const end of [manager, machine]) end.on('error', () => {});
    return { manager, machine };
  } finally {
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
}
