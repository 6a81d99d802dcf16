/**
 * What a domain costs with each driver: to start, to clone, to suspend and wake, to hold, to replace. With the real agent and
 * a small service; from the first start on all that can be kept is kept, as in a group.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import type { Domain, Driver, Opening, ServiceImage } from '../src/domains/domain.ts';
import { createProcessDriver } from '../src/domains/process/driver.ts';
import { createQemuDriver } from '../src/domains/qemu/driver.ts';
import { exportDatabaseFiles } from '../src/replica/state/existing.ts';
import {
  type Answer,
  CHUNK_BYTES,
  decodeAnswer,
  digestFrames,
  importFrames,
  prepareFrames,
  startFrames,
} from '../src/wire/channel.ts';
import { FrameReader } from '../src/wire/frames.ts';
import { JSON_SERVICE } from './services.ts';
import { type Spread, spread } from './statistics.ts';

const ANSWER_BYTES_MAX = 64 * 1024 ** 2;
const STATE_BYTES = 10 * 1024 ** 2;
const ROW_BYTES = 1000;
const PAUSED_MS = 1000;
const REST_MS = 50;
const LIMITS = { memoryBytes: 512 * 1024 ** 2, processes: 64 };

export interface DomainFigures {
  readonly driver: string;
  readonly isolation: string;
  /** Milliseconds, but where a name says otherwise. */
  readonly figures: Readonly<Record<string, Spread>>;
}

class Figures {
  readonly #values: Record<string, number[]> = {};

  note(name: string, value: number): void {
    (this.#values[name] ??= []).push(value);
  }

  spreads(): Record<string, Spread> {
    return Object.fromEntries(Object.entries(this.#values).map(([name, values]) => [name, spread(values)]));
  }
}

interface Started {
  readonly domain: Domain;
  ask(frames: Buffer[]): Promise<Answer>;
  tell(frames: Buffer[]): void;
}

class Bench {
  readonly #driver: Driver;
  readonly #folder: string;
  readonly #image: ServiceImage;
  #domains = 0;
  /** When the first opening was answered that the driver itself sent: before it cloned what it had opened. */
  answeredAt: number | null = null;

  constructor(driver: Driver, folder: string) {
    this.#driver = driver;
    this.#folder = folder;
    const { folder: service, command, state } = JSON_SERVICE;
    this.#image = { folder: service, command, env: {}, state: [state] };
  }

  /** Its service started. */
  async start(): Promise<Started> {
    this.#domains += 1;
    const id = `d-${this.#domains}`;
    const directory = join(this.#folder, id);
    mkdirSync(directory, { recursive: true });
    const opening = openingOf(this.#image, () => (this.answeredAt ??= performance.now()));
    const spec = { id, image: this.#image, limits: LIMITS, directory, opening };
    const domain = await this.#driver.start(spec);
    domain.prioritize();
    const { channel } = domain;
    const waiting: ((answer: Answer) => void)[] = [];
    const reader = new FrameReader(ANSWER_BYTES_MAX);
    channel.on('data', (bytes: Buffer) => {
      for (const frame of reader.read(bytes)) waiting.shift()?.(decodeAnswer(frame));
    });
    const tell = (frames: Buffer[]): void => {
      for (const part of frames) if (part.length > 0) channel.write(part);
    };
    const answered = new Promise<Answer>((resolve) => waiting.push(resolve));
    if (!domain.opened) await opening.send(async (parts) => tell(parts));
    const first = await answered;
    if (first.type === 'failed') throw new Error(first.message);
    const ask = (frames: Buffer[]): Promise<Answer> => {
      const answer = new Promise<Answer>((resolve) => waiting.push(resolve));
      tell(frames);
      return answer;
    };
    return { domain, ask, tell };
  }
}

function openingOf({ command, env, state }: ServiceImage, onAnswer: () => void): Opening {
  const seed = Buffer.alloc(32, 1).toString('base64');
  const limits = { timeoutMs: 600_000, replyBytesMax: ANSWER_BYTES_MAX };
  const start = { timeMs: 0, seed, command, env, port: 8000, founds: true, ...limits };
  const nothing = importFrames(Buffer.alloc(0), true);
  return {
    key: 'bench',
    timeoutMs: limits.timeoutMs,
    send: (write) => write([...prepareFrames(state), ...nothing, ...startFrames(start)]),
    listen: () => {
      const reader = new FrameReader(ANSWER_BYTES_MAX);
      return (bytes) => {
        if (reader.read(bytes).length === 0) return 'more';
        onAnswer();
        return 'answered';
      };
    },
    rehearsal: digestFrames(),
  };
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await action();
  return performance.now() - begin;
}

/** An export of a database of about `STATE_BYTES`. */
function makeState(folder: string): Buffer[] {
  const path = join(folder, 'state.db');
  const database = new DatabaseSync(path);
  database.exec('pragma journal_mode = wal; create table t (a blob)');
  const insert = database.prepare('insert into t values (randomblob(?))');
  for (let i = 0; i < STATE_BYTES / ROW_BYTES; i += 1) insert.run(ROW_BYTES);
  database.close();
  return Array.from(exportDatabaseFiles([path], CHUNK_BYTES, folder), (chunk) => Buffer.from(chunk));
}

async function replace(bench: Bench, old: Started, state: readonly Buffer[]): Promise<Started> {
  await old.domain.destroy();
  const next = await bench.start();
  for (const [at, chunk] of state.entries()) next.tell(importFrames(chunk, at === state.length - 1));
  await next.ask(digestFrames());
  await next.domain.suspend();
  return next;
}

async function measureDriver(
  name: string,
  driver: Driver,
  folder: string,
  state: readonly Buffer[],
  times: number,
  progress: (line: string) => void,
): Promise<DomainFigures> {
  const bench = new Bench(driver, join(folder, name));
  const figures = new Figures();
  progress(`${name}: the first start`);
  let current = await bench.start();
  for (let i = 0; i < times; i += 1) {
    const begin = performance.now();
    const next = await bench.start();
    await next.ask(digestFrames());
    figures.note('start to first reply', performance.now() - begin);
    await current.domain.destroy();
    current = next;
  }
  progress(`${name}: suspend and resume`);
  for (let i = 0; i < 2 * times; i += 1) {
    figures.note('suspend', await timed(() => current.domain.suspend()));
    await delay(REST_MS);
    // Sent while it is being resumed, as the manager does.
    const both = (): Promise<unknown> => Promise.all([current.domain.resume(), current.ask(digestFrames())]);
    figures.note('resume to reply', await timed(both));
  }
  await current.domain.suspend();
  await delay(REST_MS);
  const before = await current.domain.usage();
  await delay(PAUSED_MS);
  const after = await current.domain.usage();
  figures.note('CPU seconds of a suspended one, in a second', after.cpuSeconds - before.cpuSeconds);
  figures.note('MiB of its own, suspended', after.residentBytes / 1024 ** 2);
  progress(`${name}: replacement`);
  for (let i = 0; i < times; i += 1) {
    figures.note(
      'replacement, 10 MiB of state',
      await timed(async () => (current = await replace(bench, current, state))),
    );
  }
  await current.domain.destroy();
  return { driver: name, isolation: driver.isolation, figures: figures.spreads() };
}

/** Of a driver that keeps nothing but the image: what the very first start takes, and of that what a machine takes to boot and to answer. */
async function measureCold(driver: Driver, folder: string, figures: Figures): Promise<void> {
  const bench = new Bench(driver, folder);
  const begin = performance.now();
  const { domain } = await bench.start();
  figures.note('from nothing to first reply', performance.now() - begin);
  if (bench.answeredAt !== null) figures.note('boot to first reply, of that', bench.answeredAt - begin);
  await domain.destroy();
}

/** `times`: how often each is measured. */
export async function measureDomains(
  folder: string,
  times: number,
  progress: (line: string) => void,
): Promise<DomainFigures[]> {
  const machines = (suspension: 'paused' | 'parked') => (): Promise<Driver> =>
    createQemuDriver({ folder: join(folder, 'machines'), progress: () => {}, suspension });
  const makers: Readonly<Record<string, () => Promise<Driver>>> = {
    process: () => createProcessDriver(),
    qemu: machines('paused'),
    'qemu, parked': machines('parked'),
  };
  const state = makeState(folder);
  const all: DomainFigures[] = [];
  for (const [name, make] of Object.entries(makers)) {
    const measured = await measureDriver(name, await make(), folder, state, times, progress);
    progress(`${name}: from nothing`);
    const cold = new Figures();
    for (let i = 0; i < times; i += 1) await measureCold(await make(), join(folder, 'cold'), cold);
    all.push({ ...measured, figures: { ...cold.spreads(), ...measured.figures } });
  }
  return all;
}
