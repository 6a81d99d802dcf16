/**
 * A captured replica, seen from inside its domain: it stands between the manager and the real agent, passes on all that
 * both say, and speaks the real channel in their place once an attack has begun.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import {
  type Answer,
  decodeAnswer,
  decodeOrder,
  type Order,
  UPDATE_BYTES_MAX,
} from '../../src/wire/channel.ts';
import { decodeEntry } from '../../src/wire/entry.ts';
import { type Frame, frameHead, FrameReader } from '../../src/wire/frames.ts';
import { COMMAND, type Command, type Knowledge } from './command.ts';

const CHANNEL_FD = 3;
const AGENT = fileURLToPath(new URL('../../src/replica/agent.ts', import.meta.url));

export type Result = Extract<Answer, { type: 'result' }>;
type Kind = ReturnType<typeof decodeEntry>['kind'];

export class Captured {
  readonly manager: Socket = new Socket({ fd: CHANNEL_FD, readable: true, writable: true });
  readonly #agent: Duplex;
  /** What the entries are whose results are still to come. */
  readonly #kinds = new Map<number, Kind>();
  /** Sees what the agent answers; it goes on to the manager by `pass` only. */
  onAnswer: (answer: Answer, pass: () => void) => void = (_answer, pass) => pass();
  /** Sees what the manager orders; the agent gets it in any case. */
  onOrder: (order: Order) => void = () => {};
  /** What the intruder knows of the host. */
  knows: Knowledge = { managerPid: 0, otherPids: [], ports: [], dataFolder: '' };

  constructor(begin: (captured: Captured, attack: string) => void) {
    const child: ChildProcess = spawn(process.execPath, [...process.execArgv, AGENT], {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    });
    this.#agent = child.stdio[CHANNEL_FD] as Duplex;
    child.once('exit', (code) => this.manager.end(() => process.exit(code ?? 1)));
    for (const end of [this.manager, this.#agent]) end.on('error', () => {});
    this.manager.on('close', () => process.exit(0));
    const orders = new FrameReader(UPDATE_BYTES_MAX);
    this.manager.on('data', (chunk: Buffer) => {
      for (const frame of orders.read(chunk)) {
        if (frame.type !== COMMAND) {
          this.#ordered(frame);
          continue;
        }
        const { attack, knows } = JSON.parse(frame.payload.toString()) as Command;
        this.knows = knows;
        begin(this, attack);
      }
    });
    const answers = new FrameReader(2 ** 31);
    this.#agent.on('data', (chunk: Buffer) => {
      for (const frame of answers.read(chunk)) this.#answered(frame);
    });
  }

  #ordered(frame: Frame): void {
    const order = decodeOrder(frame);
    if (order.type === 'execute') this.#kinds.set(order.index, decodeEntry(order.entry).kind);
    this.#agent.write(frameHead(frame.type, frame.payload.length));
    this.#agent.write(frame.payload);
    this.onOrder(order);
  }

  #answered(frame: Frame): void {
    const answer = decodeAnswer(frame);
    this.onAnswer(answer, () => this.send([frameHead(frame.type, frame.payload.length), frame.payload]));
    if (answer.type === 'result') this.#kinds.delete(answer.index);
  }

  /** To the manager. */
  send(parts: readonly Uint8Array[]): void {
    for (const part of parts) this.manager.write(part);
  }

  /** The same, no faster than the manager reads. */
  async sendSlowly(parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) if (!this.manager.write(part)) await once(this.manager, 'drain');
  }

  /** Gives `attack` the results of entries of one kind in place of the manager, the first one or all; others pass. */
  results(kind: Kind, which: 'first' | 'all', attack: (result: Result, pass: () => void) => void): void {
    let left = which === 'first' ? 1 : Infinity;
    this.onAnswer = (answer, pass) => {
      if (answer.type !== 'result' || this.#kinds.get(answer.index) !== kind || left === 0) return pass();
      left--;
      attack(answer, pass);
    };
  }

  /** The same with other answers. */
  answers(type: Exclude<Answer['type'], 'result'>, attack: (answer: Answer, pass: () => void) => void): void {
    this.onAnswer = (answer, pass) => (answer.type === type ? attack(answer, pass) : pass());
  }
}
