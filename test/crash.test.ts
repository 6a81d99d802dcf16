/**
 * Is an acknowledged write there exactly once when every process is killed at once, again and again, under load?
 * The ledger's clients keep their own history; it is checked against what the service holds after each restart.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { add, LEDGER, type Line, lines } from './support/ledger.ts';
import { PATIENCE_MS, Spare, treeOf } from './support/spare.ts';

const ROUNDS = 20;
const CLIENTS = 12;
const LOAD_MS = 400;

/** What the clients know: names sent, and the number that each acknowledged one got. */
class History {
  readonly sent = new Set<string>();
  readonly acknowledged = new Map<string, number>();
  #next = 0;

  name(): string {
    const name = `line-${this.#next++}`;
    this.sent.add(name);
    return name;
  }

  check(lines: readonly Line[]): void {
    const numbers = new Map(lines.map(({ name, number }) => [name, number]));
    assert.equal(numbers.size, lines.length, 'no line is there twice');
    for (const [name, number] of this.acknowledged)
      assert.equal(numbers.get(name), number, `${name} is there as acknowledged`);
    for (const name of numbers.keys()) assert.ok(this.sent.has(name), `${name} was sent`);
    for (const [i, line] of lines.entries()) assert.equal(line.number, i + 1, 'no number is missing');
  }
}

async function client(
  url: string,
  history: History,
  unanswered: string[],
  ended: () => boolean,
): Promise<void> {
  while (!ended()) {
    const name = history.name();
    try {
      history.acknowledged.set(name, (await add(url, name, name)).number);
    } catch {
      unanswered.push(name);
      return;
    }
  }
}

function killAll(pid: number): number[] {
  const all = treeOf(pid);
  for (const member of all) {
    try {
      process.kill(member, 'SIGKILL');
    } catch {
      // It ended with its parent.
    }
  }
  return all;
}

test(`P2: all processes killed at once, ${ROUNDS} times under load: every acknowledged write is there exactly once`, async () => {
  await using spare = new Spare(LEDGER);
  const history = new History();
  await spare.start();
  for (let round = 0; round < ROUNDS; round++) {
    const unanswered: string[] = [];
    let ended = false;
    const clients = Array.from({ length: CLIENTS }, () =>
      client(spare.url, history, unanswered, () => ended),
    );
    await delay(LOAD_MS);
    ended = true;
    const all = killAll(spare.pid);
    await Promise.all(clients);
    await spare.signal('SIGKILL');
    await spare.until('all are gone', PATIENCE_MS, () => all.every((pid) => !existsSync(`/proc/${pid}`)));
    await spare.start();
    // A client that does not know what became of its request asks again, by the same key.
    for (const name of unanswered) history.acknowledged.set(name, (await add(spare.url, name, name)).number);
    history.check(await lines(spare.url));
  }
  assert.ok(history.acknowledged.size > ROUNDS * CLIENTS, 'there was load');
  assert.deepEqual(await spare.incidents(), [], 'no replica is blamed for a crash of the whole');
  const domains = readdirSync(join(spare.data, 'domains'));
  assert.equal(domains.length, (await spare.status()).replicas.length, 'nothing is left of earlier domains');
});
