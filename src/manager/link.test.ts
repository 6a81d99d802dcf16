/** Can what a replica sends, or does not read, harm the manager? A real socket; the other end is the enemy. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect, type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Domain } from '../domains/domain.ts';
import type { Answer } from '../wire/channel.ts';
import { digestAnswer, digestFrames, failedFrames, resultFrames, stateMark } from '../wire/channel.ts';
import { Link } from './link.ts';
import { standStill } from '../testing.ts';

const FRAME_BYTES_MAX = 64 * 1024;

interface Down {
  readonly kind: string;
  readonly why: string;
}

/** A link to a domain of which there is only the channel, and the agent's end of it. */
class Pair implements AsyncDisposable {
  readonly answers: Answer[] = [];
  readonly downs: Down[] = [];
  readonly agent: Socket;
  readonly link: Link;
  exit: (why: string) => void = () => {};

  private constructor(agent: Socket, channel: Socket, outlives: boolean) {
    this.agent = agent;
    agent.on('error', () => {});
    channel.on('error', () => {});
    const done = async (): Promise<void> => {};
    const domain: Domain = {
      pid: process.pid,
      opened: false,
      channel,
      exited: new Promise((resolve) => {
        this.exit = resolve;
        if (!outlives) channel.once('close', () => resolve('the channel closed'));
      }),
      prioritize: () => {},
      suspend: done,
      resume: done,
      destroy: async () => void channel.destroy(),
      usage: async () => ({ cpuSeconds: 0, residentBytes: 0, processes: 1 }),
      console: () => '',
    };
    this.link = new Link(domain, FRAME_BYTES_MAX, {
      onAnswer: (answer) => this.answers.push(answer),
      onDown: (kind, why) => this.downs.push({ kind, why }),
    });
  }

  /** `outlives`: the domain does not end with its channel. */
  static async make(outlives = false): Promise<Pair> {
    const folder = mkdtempSync(join(tmpdir(), 'spare-link-'));
    const path = join(folder, 'channel');
    const server = createServer().listen(path);
    await once(server, 'listening');
    const agent = connect(path);
    const [channel] = (await once(server, 'connection')) as [Socket];
    server.close();
    rmSync(folder, { recursive: true });
    return new Pair(agent, channel, outlives);
  }

  send(...parts: readonly Uint8Array[]): void {
    for (const part of parts) this.agent.write(part);
  }

  async until(check: () => boolean): Promise<void> {
    for (const end = performance.now() + 60_000; !check() && performance.now() < end;) await delay(5);
    assert.ok(check());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.link.destroy();
    this.agent.destroy();
  }
}

const digestBytes = stateMark(Buffer.alloc(32, 1), 1);

test('P7: a frame that announces more than the limit ends the link before it is read', async () => {
  await using pair = await Pair.make();
  const head = Buffer.alloc(5);
  head.writeUInt32LE(0xffffffff, 0);
  pair.send(head);
  await pair.until(() => pair.downs.length > 0);
  assert.equal(pair.downs[0]?.kind, 'protocol');
});

const MALFORMED: Record<string, Buffer> = {
  'an unknown type': Buffer.from([0, 0, 0, 0, 99]),
  'a digest of the wrong length': Buffer.from([1, 0, 0, 0, 2, 7]),
  'a result whose reply is longer than the frame': Buffer.from([
    12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255,
  ]),
  'a result for index NaN': Buffer.from([12, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]),
  'a chunk with a bad mark': Buffer.from([1, 0, 0, 0, 3, 2]),
};

for (const [what, bytes] of Object.entries(MALFORMED)) {
  test(`P7: ${what} is a protocol fault, once, and nothing after it is looked at`, async () => {
    await using pair = await Pair.make();
    pair.send(bytes, ...digestAnswer(digestBytes, false), bytes);
    await pair.until(() => pair.downs.length > 0);
    await delay(20);
    assert.deepEqual(
      pair.downs.map(({ kind }) => kind),
      ['protocol'],
    );
    assert.deepEqual(pair.answers, []);
  });
}

test('P7: text for the operator comes without control characters', async () => {
  await using pair = await Pair.make();
  const text = Buffer.from('\u001b[2Jgone\u0007');
  pair.send(Buffer.from([text.length, 0, 0, 0, 4]), text);
  await pair.until(() => pair.downs.length > 0);
  assert.deepEqual(pair.downs, [{ kind: 'crash', why: '\u{fffd}[2Jgone\u{fffd}' }]);
});

test('P7: a replica that does not read what it is sent is given up before memory is', async () => {
  await using pair = await Pair.make();
  pair.agent.pause();
  const block = Buffer.alloc(8 * 1024 * 1024);
  let sent = 0;
  while (pair.downs.length === 0 && sent < 100) {
    pair.link.send([block]);
    sent++;
  }
  assert.ok(sent < 50, `${sent} blocks were taken`);
  assert.match(pair.downs[0]?.why ?? '', /does not read/);
});

test('P7 K3: what waits for the end of an import is bounded, too', async () => {
  await using pair = await Pair.make();
  const imported = Promise.withResolvers<void>();
  pair.link.stream(() => imported.promise);
  for (let i = 0; i < 1_000_000 && pair.downs.length === 0; i++) pair.link.send(digestFrames());
  assert.match(pair.downs[0]?.why ?? '', /does not read/);
  imported.resolve();
});

test('P7: of a replica that is not to be heard nothing is taken, and nothing is lost', async () => {
  await using pair = await Pair.make();
  pair.link.hear(false, 'votes');
  const frames = resultFrames(1, Buffer.alloc(60 * 1024), Buffer.alloc(0));
  for (let i = 0; i < 100; i++) pair.send(...frames);
  await delay(50);
  assert.deepEqual(pair.answers, []);
  assert.ok(pair.agent.writableLength > 0, 'what it sends waits on its own side');
  pair.link.hear(false, 'disk');
  pair.link.hear(true, 'votes');
  await delay(20);
  assert.deepEqual(pair.answers, [], 'as long as anything stands against it');
  pair.link.hear(true, 'disk');
  await pair.until(() => pair.answers.length === 100);
  assert.deepEqual(pair.downs, []);
});

test('K1: what is sent while a state is streamed comes after it, in the order sent', async () => {
  await using pair = await Pair.make();
  let got = Buffer.alloc(0);
  pair.agent.on('data', (chunk: Buffer) => (got = Buffer.concat([got, chunk])));
  pair.link.stream(async (write) => {
    await delay(20);
    await write([Buffer.from('first ')]);
    await delay(20);
    await write([Buffer.from('second ')]);
  });
  pair.link.send([Buffer.from('third ')]);
  pair.link.send([Buffer.from('fourth ')]);
  pair.link.stream(async (write) => await write([Buffer.from('fifth ')]));
  pair.link.send([Buffer.from('sixth')]);
  const all = 'first second third fourth fifth sixth';
  await pair.until(() => got.length >= all.length);
  assert.equal(got.toString(), all);
});

test('P7: a large state that is streamed leaves no listeners behind', async () => {
  await using pair = await Pair.make();
  pair.agent.resume();
  const { channel } = pair.link.domain;
  const before = channel.listenerCount('close');
  let done = false;
  pair.link.stream(async (write) => {
    for (let i = 0; i < 40; i++) await write([Buffer.alloc(1024 * 1024)]);
    done = true;
  });
  await pair.until(() => done);
  assert.equal(channel.listenerCount('close'), before);
});

test('P7: what is held for something that is sent is let go of once it is, or never will be', async () => {
  await using pair = await Pair.make();
  pair.agent.resume();
  const letGo: string[] = [];
  const held = (name: string): Disposable => ({ [Symbol.dispose]: () => letGo.push(name) });
  const first = Promise.withResolvers<void>();
  pair.link.stream(() => first.promise, held('first'));
  pair.link.stream(async (write) => await write([Buffer.from('second')]), held('second'));
  await delay(20);
  assert.equal(letGo.length, 0, 'one waits for the other');
  first.resolve();
  await pair.until(() => letGo.length === 2);
  const late = async (): Promise<void> => void letGo.push('sent to nobody');
  const third = Promise.withResolvers<void>();
  pair.link.stream(() => third.promise, held('third'));
  pair.link.stream(late, held('fourth'));
  await pair.link.destroy();
  third.resolve();
  await pair.until(() => letGo.length === 4);
  pair.link.stream(late, held('fifth'));
  await pair.until(() => letGo.length === 5);
  assert.deepEqual(letGo, ['first', 'second', 'third', 'fourth', 'fifth']);
});

for (const [how, leave, downs] of [
  ['is ended', (pair: Pair) => void pair.link.destroy(), []],
  ['goes away', (pair: Pair) => void pair.agent.destroy(), [{ kind: 'crash', why: 'the channel closed' }]],
] as const) {
  test(`P7 K6: of a state for a replica that ${how} meanwhile no more than a piece is read, and why it went is said`, async () => {
    await using pair = await Pair.make();
    pair.agent.pause();
    let read = 0;
    let released = false;
    async function* state(): AsyncGenerator<Buffer> {
      try {
        for (; read < 200; read++) yield Buffer.alloc(1024 * 1024);
      } finally {
        released = true;
      }
    }
    pair.link.stream(async (write) => {
      for await (const piece of state()) await write([piece]);
    });
    await pair.until(() => pair.link.domain.channel.writableNeedDrain);
    const before = read;
    assert.ok(before < 10, `${before} were read before it took any`);
    leave(pair);
    await pair.until(() => released);
    assert.ok(read <= before + 1, `${read - before} more`);
    await pair.until(() => pair.downs.length === downs.length);
    assert.deepEqual(pair.downs, downs);
  });
}

test('answers come whole and in order however they are cut', async () => {
  await using pair = await Pair.make();
  const bytes = Buffer.concat([
    ...resultFrames(1, Buffer.from('reply'), Buffer.from('update')),
    ...digestAnswer(digestBytes, false),
    ...resultFrames(2, Buffer.alloc(0), Buffer.alloc(0)),
  ]);
  for (const byte of bytes) pair.send(Buffer.of(byte));
  await pair.until(() => pair.answers.length === 3);
  assert.deepEqual(
    pair.answers.map(({ type }) => type),
    ['result', 'digest', 'result'],
  );
  assert.deepEqual(pair.downs, []);
});

test('an agent that goes away is down once, and a destroyed link reports nothing', async () => {
  await using gone = await Pair.make();
  gone.agent.destroy();
  await gone.until(() => gone.downs.length > 0);
  await delay(20);
  assert.equal(gone.downs.length, 1);
  await using ended = await Pair.make();
  await ended.link.destroy();
  ended.link.send(digestFrames());
  await delay(20);
  assert.deepEqual(ended.downs, []);
});

test('K5: what an agent said before it ended is heard first', async () => {
  await using pair = await Pair.make();
  for (const part of failedFrames('the service ended')) {
    if (part.length > 0) await new Promise((resolve) => pair.agent.write(part, resolve));
  }
  pair.exit('exit status 1');
  await pair.until(() => pair.downs.length > 0);
  assert.deepEqual(pair.downs, [{ kind: 'crash', why: 'the service ended' }]);
});

test('K5: why a domain ended is said though its channel ended first; one that goes on without is down all the same', async () => {
  await using ended = await Pair.make(true);
  ended.link.domain.channel.once('end', () => setTimeout(ended.exit, 20, 'memory limit (1 MiB) exceeded'));
  await using left = await Pair.make(true);
  for (const { agent } of [ended, left]) agent.destroy();
  await left.until(() => left.downs.length > 0);
  assert.deepEqual(left.downs, [{ kind: 'crash', why: 'its agent closed the channel' }]);
  assert.deepEqual(ended.downs, [{ kind: 'crash', why: 'memory limit (1 MiB) exceeded' }]);
});

test('K5: why a domain ended is said also where the manager stood still just then', async () => {
  await using pair = await Pair.make(true);
  pair.link.domain.channel.once('end', () =>
    setImmediate(() => {
      standStill(1000);
      setImmediate(pair.exit, 'memory limit (1 MiB) exceeded');
    }),
  );
  pair.agent.destroy();
  await pair.until(() => pair.downs.length > 0);
  assert.deepEqual(pair.downs, [{ kind: 'crash', why: 'memory limit (1 MiB) exceeded' }]);
});

test('P5 P6: a domain that cannot be suspended is down, and why is said; what it is told else waits for that', async (context) => {
  await using pair = await Pair.make();
  const told: string[] = [];
  context.mock.method(pair.link.domain, 'suspend', async () => {
    await delay(20);
    told.push('suspend');
    throw new Error('the machine does not stop');
  });
  context.mock.method(pair.link.domain, 'resume', async () => void told.push('resume'));
  pair.link.suspend();
  pair.link.resume();
  await pair.until(() => told.length === 2);
  assert.deepEqual(told, ['suspend', 'resume']);
  assert.deepEqual(pair.downs, [{ kind: 'crash', why: 'the machine does not stop' }]);
});
