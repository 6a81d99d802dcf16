/** A group under load in which one replica after another attacks, and what must be seen each time. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, after, before, test } from 'node:test';
import type { Incident } from '../../src/evidence/incidents.ts';
import { Load } from '../support/load.ts';
import { measure } from '../support/footprint.ts';
import { PATIENCE_MS, SERVICES, Spare } from '../support/spare.ts';
import type { Attack } from './attack.ts';
import type { Knowledge } from './command.ts';
import type { Order } from './host.ts';

const CLIENTS = 4;
const PAUSE_MS = 10;
const MIB = 1024 ** 2;
/** Of one replica; it holds two agents here. */
const REPLICA_BYTES_MAX = 768 * MIB;
/** A manager under this load without attacks: some 120 MiB, 0.2 s of CPU a second. */
const MANAGER_BYTES_MAX = 1024 * MIB;
const MANAGER_CPU_SECONDS_MAX = 30;
const INCIDENT_CHARACTERS_MAX = 16 * 1024;
const BLOB_BYTES = 1_000_000;
/** Bytes of updates that make a refresh, and one with a checkpoint; see `run.ts`. */
const WRITTEN = { active: 0, refreshed: 6 * MIB, exporting: 36 * MIB };

class Siege {
  readonly spare: Spare;
  #load: Load | null = null;

  constructor() {
    const config = {
      folder: SERVICES,
      command: ['node', 'accounts.mjs'],
      state: ['accounts.db'],
      limits: { memoryBytes: REPLICA_BYTES_MAX, processes: 48, requestTimeoutMs: 10_000 },
    };
    this.spare = new Spare(config, ['test/enemy/host.ts']);
  }

  async begin(): Promise<void> {
    await this.spare.start();
    this.#load = new Load(this.spare.url, CLIENTS, PAUSE_MS);
  }

  async end(): Promise<void> {
    await this.#load?.[Symbol.asyncDispose]();
    await this.spare[Symbol.asyncDispose]();
  }

  get load(): Load {
    assert.ok(this.#load !== null);
    return this.#load;
  }

  async isSandboxed(): Promise<boolean> {
    const { replicas } = await this.spare.status();
    return replicas.every(({ isolation }) => isolation.startsWith('bubblewrap'));
  }

  /** The oldest of those that do it. */
  async order({ name, by }: Attack): Promise<Order> {
    const { replicas } = await this.spare.status();
    const role = by === 'active' ? 'active' : 'passive';
    const replica = replicas.find((one) => one.role === role)?.id ?? '';
    const knows: Knowledge = {
      managerPid: this.spare.pid,
      otherPids: replicas.flatMap(({ id, pid }) => (id === replica || pid === null ? [] : [pid])),
      ports: [this.spare.url, this.spare.admin].map((url) => Number(new URL(url).port)),
      dataFolder: this.spare.data,
    };
    return { replica, attack: name, knows };
  }

  /** What makes the passive replicas be woken. */
  async write(bytes: number): Promise<void> {
    for (let written = 0; written < bytes; written += BLOB_BYTES) {
      const body = randomBytes(BLOB_BYTES);
      const reply = await fetch(`${this.spare.url}/blob`, { method: 'PUT', body });
      assert.equal(await reply.text(), String(BLOB_BYTES));
    }
  }

  async noticed(replica: string): Promise<Incident> {
    let found: Incident | undefined;
    await this.spare.until(`${replica} is noticed`, PATIENCE_MS, async () => {
      found = (await this.spare.incidents()).find((incident) => incident.replica === replica);
      return found !== undefined;
    });
    assert.ok(found !== undefined);
    return found;
  }
}

async function withstand(siege: Siege, attack: Attack, t: TestContext): Promise<Incident> {
  const { spare, load } = siege;
  await spare.whole();
  const order = await siege.order(attack);
  const before = new Set((await spare.incidents()).map(({ replica }) => replica));
  const used = measure(spare.pid);
  load.mark();
  const replies = load.replies;
  spare.tell(order);
  const writing = siege.write(WRITTEN[attack.by]);
  const incident = await siege.noticed(order.replica);
  await writing;
  await spare.whole();
  await spare.until('the load goes on', PATIENCE_MS, () => load.replies > replies + 100);
  const { peakBytes, cpuSeconds } = used();
  t.diagnostic(
    `manager: at most ${Math.round(peakBytes / MIB)} MiB, ${cpuSeconds.toFixed(1)} s CPU; ` +
      `slowest of ${load.replies - replies} replies: ${Math.round(load.slowestMs)} ms`,
  );
  assert.deepEqual(load.failures, []);
  const kinds: string[] = attack.mayBeLate ? [attack.kind, 'late'] : [attack.kind];
  assert.ok(kinds.includes(incident.kind), JSON.stringify(incident));
  const blamed = (await spare.incidents()).map(({ replica }) => replica).filter((one) => !before.has(one));
  assert.deepEqual(blamed, [order.replica], 'nobody else is blamed');
  assert.ok(JSON.stringify(incident).length < INCIDENT_CHARACTERS_MAX, 'the incident can be read');
  assert.ok(!(await spare.status()).replicas.some(({ id }) => id === order.replica), 'it is gone');
  assert.ok(peakBytes < MANAGER_BYTES_MAX, `${peakBytes} bytes`);
  assert.ok(cpuSeconds < MANAGER_CPU_SECONDS_MAX, `${cpuSeconds} s`);
  return incident;
}

/** A test for each attack, one after the other against one group; `more` looks at its incident. */
export function besiege(attacks: readonly Attack[], more: (incident: Incident) => void = () => {}): void {
  const siege = new Siege();
  before(() => siege.begin());
  after(() => siege.end());
  for (const attack of attacks) {
    void test(`P1 P5 P6 P7: ${attack.name}`, async (t) => {
      if (attack.sandboxed === true && !(await siege.isSandboxed()))
        return t.skip('bubblewrap is not to be had');
      more(await withstand(siege, attack, t));
    });
  }
}
