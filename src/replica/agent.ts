/**
 * The replica agent: the process beside the service inside a domain. It works one order of the manager after
 * another (`wire/channel.ts`): starts the service, sets the agreed clock and randomness, feeds it entries, captures
 * what each one changed, applies what others executed, digests, exports and imports the state.
 *
 * Nothing here is trusted by the manager: this process shares its domain with the service.
 */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../errors.ts';
import { CHUNK_BYTES, type Order, type StartOrder, decodeOrder, UPDATE_BYTES_MAX } from '../wire/channel.ts';
import { chunkFrames, digestAnswer, failedFrames, resultFrames, stateMark } from '../wire/channel.ts';
import { decodeEntry } from '../wire/entry.ts';
import { type Frame, FrameReader } from '../wire/frames.ts';
import { decodeRequest, encodeReply } from '../wire/http.ts';
import { openChannel } from './channel.ts';
import { interruptNobody } from './courtesy.ts';
import { Clock } from './determinism/clock.ts';
import { TickServer } from './determinism/tick.ts';
import { preloadPath } from './preload.ts';
import { Service } from './service.ts';
import { createSqliteState } from './state/sqlite.ts';
import type { Intake, State } from './state/state.ts';

const TICK_TIMEOUT_MS = 5000;
/** What the service may take for what it does after its reply. */
const SETTLE_MS_MAX = 2000;
/** Most are done with it at once: the first pauses are much shorter than those of the event loop can be. */
const SHORT_PAUSES = 20;
const SHORT_PAUSE_MS = 0.05;
const NOBODY = new Int32Array(new SharedArrayBuffer(4));
const SHARED_ANSWERS = 16;
const SHARE_MS = 10;
/** Answers that may wait for the manager to read them before the next entry is executed. */
const UNREAD_BYTES_MAX = 16 * 1024 ** 2;
const EMPTY = new Uint8Array(0);

function environment(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set; the agent is started by a domain driver.`);
  return value;
}

/** What the service finds in its environment besides its own settings: the determinism layer. */
function serviceEnvironment(
  start: StartOrder,
  paths: { readonly clockPath: string; readonly tickPath: string; readonly readsPath: string },
): Record<string, string> {
  const module = fileURLToPath(new URL('./determinism/node.mjs', import.meta.url));
  const preload = preloadPath();
  const fixed: Record<string, string> = {};
  for (const name of ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ']) fixed[name] = process.env[name] ?? '';
  const withOwn = (option: string, own: string | undefined) =>
    own === undefined ? option : `${option} ${own}`;
  return {
    ...fixed,
    // Files, hashes, name lookups of Node: with one thread for them, what was begun first ends first in every copy.
    UV_THREADPOOL_SIZE: '1',
    ...start.env,
    SPARE_CLOCK: paths.clockPath,
    SPARE_TICK: paths.tickPath,
    SPARE_READS: paths.readsPath,
    NODE_OPTIONS: withOwn(`--import=${module}`, start.env['NODE_OPTIONS']),
    BUN_OPTIONS: withOwn(`--preload=${module}`, start.env['BUN_OPTIONS']),
    ...(preload === null ? {} : { LD_PRELOAD: preload }),
  };
}

function markOf(state: State): Uint8Array {
  return stateMark(state.digest(), state.exportBytes());
}

/** Resolves when the service has done what it does in the turn in which its reply ends, as far as it says so. */
async function settled(clock: Clock): Promise<void> {
  const endMs = performance.now() + SETTLE_MS_MAX;
  for (let pause = 0; clock.isBusy && performance.now() < endMs; pause += 1) {
    if (pause < SHORT_PAUSES) Atomics.wait(NOBODY, 0, 0, SHORT_PAUSE_MS);
    else await delay(1);
  }
}

class Agent {
  readonly #channel: Socket;
  readonly #runFolder = environment('SPARE_RUN');
  readonly #workFolder = environment('SPARE_WORK');
  #orders: Order[] = [];
  #working = false;
  /** Orders that came and were not begun. */
  #waiting = 0;
  /** Answers that are written but not sent. */
  #unsent = 0;
  #shareTimer: NodeJS.Timeout | undefined;
  #clock: Clock | null = null;
  #ticks: TickServer | null = null;
  #service: Service | null = null;
  #state: State | null = null;
  /** Where the state goes that is being imported. */
  #intake: Intake | null = null;

  constructor(channel: Socket) {
    this.#channel = channel;
    const reader = new FrameReader(UPDATE_BYTES_MAX);
    channel.on('data', (chunk: Buffer) => this.#take(reader.read(chunk)));
    channel.on('error', () => process.exit(0));
    channel.on('close', () => process.exit(0));
  }

  #take(frames: Frame[]): void {
    for (const frame of frames) this.#orders.push(decodeOrder(frame));
    this.#waiting += frames.length;
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    try {
      while (this.#orders.length > 0) {
        const orders = this.#orders;
        this.#orders = [];
        for (const order of orders) {
          this.#waiting--;
          await this.#carryOut(order);
        }
      }
    } catch (error) {
      this.#fail(messageOf(error));
    }
    this.#working = false;
  }

  #fail(message: string): void {
    this.#send(failedFrames(message));
    this.#flush();
    this.#channel.end(() => process.exit(1));
  }

  /** While more orders wait, a few answers share a system call; none waits longer than `SHARE_MS`. */
  #send(parts: readonly Uint8Array[]): void {
    if (this.#channel.writableCorked === 0) this.#channel.cork();
    for (const part of parts) if (part.length > 0) this.#channel.write(part);
    this.#unsent++;
    if (this.#unsent >= Math.min(SHARED_ANSWERS, this.#waiting / 4)) this.#flush();
    else if (this.#unsent === 1) this.#shareTimer = setTimeout(() => this.#flush(), SHARE_MS);
  }

  #flush(): void {
    clearTimeout(this.#shareTimer);
    this.#unsent = 0;
    this.#channel.uncork();
  }

  get #prepared(): State {
    if (this.#state === null) throw new Error('An order came before the state was prepared.');
    return this.#state;
  }

  get #running(): { clock: Clock; ticks: TickServer; service: Service; state: State } {
    if (this.#clock === null || this.#ticks === null || this.#service === null) {
      throw new Error('An order came before the service was started.');
    }
    return { clock: this.#clock, ticks: this.#ticks, service: this.#service, state: this.#prepared };
  }

  async #carryOut(order: Order): Promise<void> {
    switch (order.type) {
      case 'prepare':
        this.#state = createSqliteState(order.state.map((file) => resolve(this.#workFolder, file)));
        this.#intake = this.#state.prepare();
        return;
      case 'start':
        return await this.#start(order.order);
      case 'import':
        return this.#import(order.chunk, order.last);
      case 'execute':
        return await this.#execute(order);
      case 'apply':
        return this.#prepared.apply(order.update);
      case 'digest':
        return this.#digest();
      case 'export':
        return await this.#export();
    }
  }

  async #start(start: StartOrder): Promise<void> {
    const state = this.#prepared;
    mkdirSync(this.#runFolder, { recursive: true });
    const readsPath = join(this.#runFolder, 'reads');
    state.leave(start.founds, readsPath);
    const clockPath = join(this.#runFolder, 'clock');
    const tickPath = join(this.#runFolder, 'tick');
    this.#clock = new Clock(clockPath);
    this.#clock.set({
      index: 0,
      timeMs: start.timeMs,
      tickFromMs: start.timeMs,
      seed: Buffer.from(start.seed, 'base64'),
    });
    this.#ticks = await TickServer.listen(tickPath);
    const starting = Service.start(
      {
        command: start.command,
        env: serviceEnvironment(start, { clockPath, tickPath, readsPath }),
        folder: this.#workFolder,
        port: start.port,
        timeoutMs: start.timeoutMs,
        replyBytesMax: start.replyBytesMax,
      },
      (why) => this.#fail(`The service ended: ${why}.`),
    );
    // The service's process is there, and does not inherit it.
    [this.#service] = await Promise.all([starting, interruptNobody()]);
    state.open();
    // Of who does not found, what the start wrote is undone at once: where that cannot be done, the start came to nothing.
    if (!start.founds) state.flush();
    const update = start.founds ? state.capture() : EMPTY;
    state.started();
    this.#send(resultFrames(0, EMPTY, update));
  }

  #digest(): void {
    const { state } = this.#running;
    state.flush();
    this.#send(digestAnswer(markOf(state), state.isOutdated()));
  }

  #import(chunk: Uint8Array, last: boolean): void {
    this.#intake ??= this.#prepared.import();
    this.#intake.take(chunk);
    if (!last) return;
    this.#intake.end();
    this.#intake = null;
  }

  async #execute(order: Extract<Order, { type: 'execute' }>): Promise<void> {
    const { clock, ticks, service, state } = this.#running;
    const entry = decodeEntry(order.entry);
    // What was applied before must be seen by what is executed now.
    state.flush();
    const { index, timeMs, tickFromMs } = order;
    clock.set({ index, timeMs, tickFromMs, seed: entry.seed, isRequest: entry.kind === 'request' });
    let reply: Uint8Array = EMPTY;
    if (entry.kind === 'request') {
      reply = encodeReply(await service.ask(decodeRequest(entry.body)));
      clock.answered();
      await settled(clock);
    } else if (entry.kind === 'tick') await ticks.tick(TICK_TIMEOUT_MS);
    const update = state.capture();
    if (entry.kind === 'mark') reply = markOf(state);
    this.#send(resultFrames(order.index, reply, update));
    if (this.#channel.writableLength <= UNREAD_BYTES_MAX) return;
    // The manager does not hear one that is far ahead; all that it could answer need not fit into memory, nor what it is sent meanwhile.
    this.#flush();
    if (!this.#channel.writableNeedDrain) return;
    this.#channel.pause();
    await once(this.#channel, 'drain');
    this.#channel.resume();
  }

  async #export(): Promise<void> {
    this.#running.state.flush();
    let pending: Uint8Array = EMPTY;
    for (const chunk of this.#running.state.export(CHUNK_BYTES)) {
      if (pending.length > 0) this.#send(chunkFrames(pending, false));
      pending = chunk;
      this.#flush();
      // No faster than the manager reads: the whole state need not fit into memory.
      if (this.#channel.writableNeedDrain) await once(this.#channel, 'drain');
    }
    this.#send(chunkFrames(pending, true));
  }
}

void new Agent(openChannel());
