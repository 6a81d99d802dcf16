/**
 * The control channel of one QEMU (QMP): commands with their answers, and events. One JSON object a line.
 *
 * Q1. Every command is answered or rejected: when QEMU goes, says something else, or takes too long.
 * Q2. A line has a greatest length, all is read at a bounded pace, and what is not understood closes the channel: a QEMU that was
 *     taken over from inside its guest must not take the manager over, too.
 * Q3. Why it refuses a command is told to operators in a few printable words.
 */
import type { Duplex } from 'node:stream';

import { printable } from '../../wire/channel.ts';
import { pace } from '../process/pace.ts';

/** All that is ever said in earnest is less. Each piece of a line that comes costs as much as those before it, so it is not much more. */
const LINE_BYTES_MAX = 64 * 1024;
const BUDGET_BYTES = LINE_BYTES_MAX;
const REASON_LENGTH_MAX = 200;
export const COMMAND_MS_MAX = 10_000;

type Json = Readonly<Record<string, unknown>>;

interface Waiting {
  readonly resolve: (value: Json) => void;
  readonly reject: (error: Error) => void;
}

/** An event that somebody waits for. */
interface AwaitedEvent extends Waiting {
  readonly name: string;
  readonly fits: (data: Json) => boolean;
}

export class Qmp {
  readonly #socket: Duplex;
  readonly #waiting = new Map<number, Waiting>();
  readonly #awaited = new Set<AwaitedEvent>();
  #rest = '';
  #commands = 0;
  #closed: Error | undefined;

  constructor(socket: Duplex) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#take(text));
    pace(socket, BUDGET_BYTES);
    socket.on('error', () => this.#close('its control channel broke'));
    socket.on('close', () => this.#close('it ended'));
    socket.on('end', () => this.#close('it ended'));
  }

  /** Must be called once, first. */
  async open(): Promise<void> {
    await this.execute('qmp_capabilities');
  }

  /** Rejects with an Error that says why it was not done. */
  execute(command: string, args: Json = {}): Promise<Json> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    this.#commands += 1;
    const id = this.#commands;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#close(`it does not answer \`${command}\``), COMMAND_MS_MAX);
      const settle =
        <T>(how: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(timer);
          how(value);
        };
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  /** Resolves with the data of the first such event for which `fits` holds; rejects when the channel closes. */
  event(name: string, fits: (data: Json) => boolean): Promise<Json> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => this.#awaited.add({ name, fits, resolve, reject }));
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LINE_BYTES_MAX) this.#close('it says too much');
    for (const line of lines) {
      if (this.#closed !== undefined) return;
      try {
        this.#understand(JSON.parse(line) as Json);
      } catch {
        this.#close('it says what cannot be understood');
      }
    }
  }

  #understand(message: Json): void {
    const { id, event } = message;
    const data = object(message['data']);
    for (const awaited of this.#awaited) {
      if (awaited.name !== event || !awaited.fits(data)) continue;
      this.#awaited.delete(awaited);
      awaited.resolve(data);
    }
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    if (waiting === undefined || typeof id !== 'number') return;
    this.#waiting.delete(id);
    if ('return' in message) waiting.resolve(object(message['return']));
    else waiting.reject(new Error(refusal(object(message['error'])['desc'])));
  }

  #close(why: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = new Error(why);
    this.#socket.destroy();
    for (const { reject } of [...this.#waiting.values(), ...this.#awaited]) reject(this.#closed);
    this.#waiting.clear();
    this.#awaited.clear();
  }
}

function object(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}

/** An operator reads it. */
function refusal(reason: unknown): string {
  return typeof reason === 'string' ? printable(reason.slice(0, REASON_LENGTH_MAX)) : 'refused';
}
