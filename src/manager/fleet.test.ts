/** How replicas come up, and come up again on another state. The other ends of their channels are this test's. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempDisposableSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { makeDomainsFolder } from '../data-folder.ts';
import type { Driver } from '../domains/domain.ts';
import { SpareError } from '../errors.ts';
import { Store } from '../ordering/store.ts';
import {
  decodeOrder,
  digestAnswer,
  failedFrames,
  type Order,
  resultFrames,
  stateMark,
} from '../wire/channel.ts';
import { FrameReader } from '../wire/frames.ts';
import { Deployment } from './deployment.ts';
import { Fleet } from './fleet.ts';
import { Snapshots } from './snapshots.ts';
import { imageIn, MIB, until } from './testing.ts';
import { UpdateLog } from './updates.ts';
import { Verified } from './verified.ts';

const NOTHING = new Uint8Array(0);
const STARTED = resultFrames(0, NOTHING, NOTHING);
const ENTRY = { timeMs: 0, seed: Buffer.alloc(32) };
/** Once entry 0 is decided. */
const LATER = { variant: 0, version: 0, founds: false };

/** What one says of its state that is, or is not, outdated. */
const digestOf = (outdated: boolean): Uint8Array[] => digestAnswer(stateMark(Buffer.alloc(32), 0), outdated);

/** One that was started, as its agent sees it. */
class Started {
  readonly agent: Duplex;
  readonly orders: Order['type'][] = [];
  readonly renew: boolean;
  /** Resolves for who ends it. */
  readonly gone: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  isEnding = false;
  hurried = 0;

  constructor(agent: Duplex, renew: boolean) {
    this.agent = agent;
    this.renew = renew;
    const reader = new FrameReader(MIB);
    agent.on('data', (bytes: Buffer) => {
      for (const frame of reader.read(bytes)) this.orders.push(decodeOrder(frame).type);
    });
  }

  get isOpened(): boolean {
    return this.orders.includes('start');
  }

  say(parts: readonly Uint8Array[]): void {
    for (const part of parts) if (part.length > 0) this.agent.write(part);
  }
}

interface Given {
  readonly fleet: Fleet;
  readonly started: Started[];
  readonly heard: string[];
  readonly downs: string[];
  /** What ended all. */
  readonly ends: string[];
  readonly folder: string;
}

/** A group of which an entry was decided. `meet` is given whoever is started, before it is sent anything. */
async function given(context: TestContext, meet: (one: Started) => void = () => {}): Promise<Given> {
  const folder = mkdtempDisposableSync(join(tmpdir(), 'spare-fleet-'));
  makeDomainsFolder(folder.path);
  const { store } = await Store.open(join(folder.path, 'store.db'), null);
  const snapshots = new Snapshots(folder.path, MIB, { checkpoint: null, base: null });
  const updates = new UpdateLog(store, -1);
  updates.record(0, Buffer.of(1));
  const verified = new Verified(snapshots, updates);
  const started: Started[] = [];
  const driver: Driver = {
    isolation: 'none',
    privateNetwork: true,
    start: async ({ renew = false, directory }) => {
      rmdirSync(directory);
      const [agent, channel] = duplexPair();
      const one = new Started(agent, renew);
      started.push(one);
      meet(one);
      return {
        pid: null,
        channel,
        opened: false,
        exited: new Promise(() => {}),
        prioritize: () => void one.hurried++,
        suspend: async () => {},
        resume: async () => {},
        destroy: async () => {
          one.isEnding = true;
          await one.gone.promise;
          channel.destroy();
        },
        usage: async () => ({ cpuSeconds: 0, residentBytes: 0, processes: 1 }),
        console: () => '',
      };
    },
  };
  const limits = { memoryBytes: MIB, processes: 1 };
  const times = { frameBytesMax: MIB, replyBytesMax: MIB, startTimeoutMs: 1000 };
  const version = { variants: [imageIn(folder.path)], digest: '', check: async () => [] };
  const options = { dataFolder: folder.path, limits, ...times, log: () => {} };
  const [heard, downs, ends]: [string[], string[], string[]] = [[], [], []];
  const deployment = new Deployment(version, () => false);
  const fleet = new Fleet(options, driver, deployment, verified, {
    onAnswer: (id) => heard.push(id),
    onDown: (id) => downs.push(id),
    onRefused: () => {},
    onImageDamaged: () => {},
    onNoRoom: (error) => ends.push(`${error.code} ${error.message}`),
  });
  context.after(async () => {
    for (const one of started) one.gone.resolve();
    await fleet.close();
    await store.close();
    folder.remove();
  });
  return { fleet, started, heard, downs, ends, folder: folder.path };
}

/** What those from this one on say to their start, one after another; they can be ended. */
async function answer(
  started: readonly Started[],
  from: number,
  words: readonly Uint8Array[][],
): Promise<void> {
  for (const [at, says] of words.entries()) {
    await until('it is sent the start', () => started[from + at]?.isOpened === true);
    started[from + at]?.say(says);
    started[from + at]?.gone.resolve();
  }
}

void test('P6: who starts once more is hurried while nobody serves, too', async (context) => {
  const { fleet, started, heard, downs } = await given(context);
  fleet.start('r4', LATER, ENTRY);
  await until('it is sent the start', () => started[0]?.isOpened === true);
  fleet.hurry();
  started[0]?.say(failedFrames('no'));
  await until('it is ended', () => started[0]?.isEnding === true);
  started[0]?.gone.resolve();
  await until('it is sent the start again', () => started[1]?.isOpened === true);
  fleet.hurry();
  assert.deepEqual(
    started.map(({ hurried }) => hurried),
    [1, 1],
  );
  started[1]?.say(STARTED);
  await until('it is heard', () => heard.length > 0);
  started[1]?.say(failedFrames('no'));
  await until('it is down', () => downs.length > 0);
  assert.equal(started.length, 2, 'not a third time');
});

void test('P6: who is stopped before it starts again does not', async (context) => {
  const { fleet, started, downs } = await given(context);
  fleet.start('r4', LATER, ENTRY);
  await until('it is sent the start', () => started[0]?.isOpened === true);
  started[0]?.say(failedFrames('no'));
  await until('it is ended', () => started[0]?.isEnding === true);
  fleet.stop('r4');
  const closed = fleet.close();
  started[0]?.gone.resolve();
  await closed;
  assert.equal(started.length, 1);
  assert.deepEqual(downs, []);
});

void test('P4: what a replica has is believed once, and not of who says that it started before it was sent all', async (context) => {
  let hasty = false;
  const { fleet, started, heard } = await given(context, (one) => hasty && one.say(STARTED));
  fleet.start('r4', LATER, ENTRY);
  await until('it is sent the start', () => started[0]?.isOpened === true);
  started[0]?.say(STARTED);
  await until('it is heard', () => heard.includes('r4'));
  assert.deepEqual([fleet.takeStartedOn('r4'), fleet.takeStartedOn('r4')], [0, null]);
  hasty = true;
  fleet.start('r5', LATER, ENTRY);
  await until('it is heard, and sent the start', () => heard.includes('r5') && started[1]?.isOpened === true);
  assert.equal(fleet.takeStartedOn('r5'), null);
});

void test('P3: of who is outdated the last word counts, and one that is started after it is made anew, once', async (context) => {
  const { fleet, started, heard } = await given(context);
  const start = async (id: string): Promise<Started> => {
    fleet.start(id, LATER, ENTRY);
    await until('it is sent the start', () => started.at(-1)?.isOpened === true);
    const one = started.at(-1);
    assert.ok(one !== undefined);
    one.say(STARTED);
    return one;
  };
  const first = await start('r4');
  first.say(digestOf(true));
  await until('it is heard', () => heard.length === 2);
  assert.ok(fleet.isOutdated('r4'));
  await start('r5');
  first.say(digestOf(false));
  await until('both are heard', () => heard.length === 4);
  assert.deepEqual([fleet.isOutdated('r4'), fleet.isOutdated('r5')], [false, false]);
  await start('r6');
  assert.deepEqual(
    started.map(({ renew }) => renew),
    [false, true, false],
  );
});

void test('P6: nobody is replaced for being outdated where a clean one would start on the initial state', async (context) => {
  const { fleet, started, heard } = await given(context);
  fleet.start('r4', LATER, ENTRY);
  await answer(started, 0, [failedFrames('no'), failedFrames('no'), STARTED]);
  started[2]?.say(digestOf(true));
  await until('it is heard', () => heard.length === 2);
  assert.equal(fleet.isOutdated('r4'), false);
  const real = performance.now.bind(performance);
  context.mock.method(performance, 'now', () => real() + 3_601_000);
  assert.equal(fleet.isOutdated('r4'), true, 'an hour later it is worth a try');
});

void test('P6: of machines that were all to be made from one, which did not start, one start has failed', async (context) => {
  const none = new SpareError('service-start-failed', 'no', { hint: '' });
  const { fleet, started } = await given(context, () => {
    if (started.length <= 4) throw none;
  });
  for (const id of ['r4', 'r5', 'r6', 'r7']) fleet.start(id, LATER, ENTRY);
  await until('all are sent the start', () => started.filter(({ isOpened }) => isOpened).length === 4);
  assert.ok(
    started.slice(4).every(({ orders }) => orders.includes('apply')),
    'on the present state',
  );
});

void test('P5: a replica that has no room elsewhere, as in /tmp, has failed to start; only without room in the data folder all ends', async (context) => {
  let path = '/tmp/other';
  const { fleet, downs, ends, folder } = await given(context, () => {
    const cause = Object.assign(new Error('no room'), { code: 'ENOSPC', path });
    throw new SpareError('domain-start-failed', 'it did not start', { hint: '', cause });
  });
  fleet.start('r4', LATER, ENTRY);
  await until('it is down', () => downs.length > 0);
  assert.deepEqual([fleet.why('r4'), ends], ['it did not start', []]);
  path = join(folder, 'other');
  fleet.start('r5', LATER, ENTRY);
  await until('all ends', () => ends.length > 0);
  assert.deepEqual([downs, ends], [['r4'], [`storage-failed Using ${folder} failed: no room.`]]);
});

void test('P6: an hour after starts on the present state came to nothing, one tries it again; what works then is gone on with', async (context) => {
  const { fleet, started, heard } = await given(context);
  let laterMs = 0;
  const real = performance.now.bind(performance);
  context.mock.method(performance, 'now', () => real() + laterMs);
  const start = async (id: string, words: readonly Uint8Array[][]): Promise<number | null> => {
    const [before, heardBefore] = [started.length, heard.length];
    fleet.start(id, LATER, ENTRY);
    await answer(started, before, words);
    await until('it is heard', () => heard.length > heardBefore);
    assert.equal(started.length, before + words.length);
    return fleet.takeStartedOn(id);
  };
  const no = failedFrames('no');
  assert.equal(await start('r4', [no, no, STARTED]), null);
  assert.equal(await start('r5', [STARTED]), null, 'on the initial state at once');
  laterMs += 3_601_000;
  assert.equal(await start('r6', [no, STARTED]), null, 'tried once, and no more than that');
  assert.equal(await start('r7', [STARTED]), null);
  laterMs += 3_601_000;
  assert.equal(await start('r8', [STARTED]), 0);
  assert.equal(await start('r9', [STARTED]), 0);
});

void test('P6: who says nothing when it is to start is started again after its time, and given up when it still says nothing', async (context) => {
  const { fleet, started, downs } = await given(context);
  fleet.start('r4', LATER, ENTRY);
  for (const at of [0, 1, 2]) {
    await until('it is sent the start', () => started[at]?.isOpened === true);
    const began = at * 1e6;
    fleet.clock(began);
    fleet.clock(began + 5000);
    assert.deepEqual(downs, [], 'it may still start');
    fleet.clock(began + 10_000);
    if (at < 2) assert.equal(started[at]?.isEnding, true);
    started[at]?.gone.resolve();
  }
  assert.deepEqual(downs, ['r4']);
  assert.equal(fleet.why('r4'), 'it said nothing for 6 s');
  assert.equal(started.length, 3);
});

void test('P6: who is to start is behind all others for a part of its time only: where the host is busy it could not do it in that', async (context) => {
  const { fleet, started } = await given(context);
  fleet.start('r4', LATER, ENTRY);
  await until('it is sent the start', () => started[0]?.isOpened === true);
  // It has 6 s.
  const hurried = [0, 1400, 1600, 3000].map((now) => {
    fleet.clock(now);
    return started[0]?.hurried;
  });
  assert.deepEqual(hurried, [0, 0, 1, 1]);
});

void test('P6: who has answered once is not given up for what it says of its start', async (context) => {
  const { fleet, started, heard, downs } = await given(context);
  fleet.start('r4', LATER, ENTRY);
  await until('it is sent the start', () => started[0]?.isOpened === true);
  fleet.clock(0);
  started[0]?.say(STARTED);
  await until('it is heard', () => heard.length > 0);
  fleet.clock(1e6);
  assert.deepEqual(downs, []);
});

void test('P2 P6: where one does not start and the data folder is gone, that ends all, in plain words, and is not taken for its fault', async (context) => {
  const { fleet, started, downs, ends, folder } = await given(context);
  fleet.start('r4', LATER, ENTRY);
  await until('it is sent the start', () => started[0]?.isOpened === true);
  rmSync(folder, { recursive: true });
  started[0]?.say(failedFrames('no'));
  await until('all ends', () => ends.length > 0);
  assert.match(ends[0] ?? '', new RegExp(`^storage-failed Using ${folder} failed: ENOENT`));
  assert.deepEqual([ends.length, downs], [1, []]);
  fleet.start('r5', LATER, ENTRY);
  await until('it is down', () => downs.length > 0);
  assert.match(fleet.why('r5'), /^ENOENT/);
  assert.ok(!existsSync(folder), 'it is not made anew');
});
