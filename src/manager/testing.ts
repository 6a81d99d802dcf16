/** For the manager's tests: a group with real parts, that is domains, a store, and a service in them. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { NEVER, NO_REFRESH } from '../core/testing/never.ts';
import type { Driver, ServiceImage } from '../domains/domain.ts';
import { createProcessDriver } from '../domains/process/driver.ts';
import { EmbeddedOrderer } from '../ordering/embedded.ts';
import { Store } from '../ordering/store.ts';
import { Manager } from './manager.ts';
import type { RecoveryOptions } from './rejuvenation.ts';

export const MIB: number = 1024 ** 2;
export const REPLY_BYTES: number = 16 * MIB;
/** What the disk takes in several pieces. */
export const STATE_BYTES: number = 12 * MIB;

const SERVICE = `import { createServer } from 'node:http';
  const body = Buffer.alloc(${REPLY_BYTES}, 'x');
  createServer((_, response) => response.end(body)).listen(process.env.PORT);`;

/** Each request adds to its state. */
const KEEPER = `import { createServer } from 'node:http';
  import { DatabaseSync } from 'node:sqlite';
  const db = new DatabaseSync('state.db');
  db.exec('create table if not exists t (bytes blob)');
  createServer((_, response) => {
    db.prepare('insert into t values (?)').run(Buffer.alloc(${STATE_BYTES}));
    response.end();
  }).listen(process.env.PORT);`;

export function imageIn(folder: string, state: readonly string[] = []): ServiceImage {
  return { folder, command: ['node', 'server.mjs'], env: {}, state };
}

interface Differing {
  readonly change?: (driver: Driver) => Driver;
  /** The initial state, if the group has one, and the digest of it that the store has. */
  readonly base?: { readonly write: (path: string) => void; readonly digest: string | null };
  readonly lateMs?: number;
  readonly check?: () => Promise<readonly string[]>;
  readonly memoryBytes?: number;
  /** What was ordered before it was started; nothing of it was decided. */
  readonly ordered?: readonly Uint8Array[];
  /** A service with state, of which each change makes a checkpoint; how long it may take for a request. */
  readonly keeperMs?: number;
  readonly recovery?: RecoveryOptions;
}

export interface Group extends AsyncDisposable {
  readonly manager: Manager;
  /** The service folder; the data folder is in it. */
  readonly folder: string;
  readonly dataFolder: string;
}

/** A group of which nobody is ever too late, unless `lateMs` says otherwise. */
export async function startGroup(differing: Differing = {}): Promise<Group> {
  const { base, change = (driver) => driver, check, keeperMs, lateMs = NEVER, ordered = [] } = differing;
  const place = mkdtempDisposableSync(join(tmpdir(), 'spare-manager-'));
  const folder = place.path;
  const dataFolder = join(folder, 'data');
  mkdirSync(join(dataFolder, 'domains'), { recursive: true });
  base?.write(join(dataFolder, 'base'));
  writeFileSync(join(folder, 'server.mjs'), keeperMs === undefined ? SERVICE : KEEPER);
  const driver = change(await createProcessDriver());
  const open = async (): Promise<Awaited<ReturnType<typeof Store.open>>> =>
    await Store.open(join(dataFolder, 'spare.db'), 'the service of this test');
  if (ordered.length > 0) {
    const { store: earlier } = await open();
    for (const [index, bytes] of ordered.entries()) earlier.writeEntry(index, bytes);
    await earlier.close();
  }
  const { store, opened: found } = await open();
  const opened = { ...found, recovery: { ...found.recovery, base: base?.digest ?? null } };
  const manager = new Manager(
    {
      faults: 1,
      version: {
        variants: [imageIn(folder, keeperMs === undefined ? [] : ['state.db'])],
        digest: '',
        check: check ?? (async () => [dataFolder]),
      },
      dataFolder,
      limits: { memoryBytes: differing.memoryBytes ?? 1024 * MIB, processes: 256 },
      deadline: { floorMs: lateMs, ceilingMs: lateMs, factor: 1 },
      patience: { graceMs: NEVER, overtimeMs: NEVER },
      refresh: keeperMs === undefined ? NO_REFRESH : { ...NO_REFRESH, entries: 1, checkpointBytes: 0 },
      recovery: differing.recovery ?? null,
      requestTimeoutMs: keeperMs ?? NEVER,
      startTimeoutMs: NEVER,
      replyBytesMax: 2 * REPLY_BYTES,
      frameBytesMax: 2 * REPLY_BYTES,
      stateBytesMax: 2 * STATE_BYTES,
      hook: { command: [], folder, webhook: null },
      log: () => {},
    },
    { driver, store, orderer: new EmbeddedOrderer(store, opened.next), opened },
  );
  manager.start(opened);
  const end = async (): Promise<void> => {
    await manager.close(AbortSignal.abort());
    place.remove();
  };
  return { manager, folder, dataFolder, [Symbol.asyncDispose]: end };
}

export async function wholeGroup(differing: Differing = {}): Promise<Group> {
  const group = await startGroup(differing);
  await until('it is whole', () => group.manager.health.whole());
  return group;
}

export async function until(what: string, check: () => boolean): Promise<void> {
  const end = performance.now() + 60_000;
  while (!check()) {
    assert.ok(performance.now() < end, `never: ${what}`);
    await delay(20);
  }
}
