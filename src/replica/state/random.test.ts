/**
 * Do updates, imports, starts and role swaps keep replicas equal under SQL that nobody thought of?
 * A failure prints the seed and the shrunk workload; pass them to `fc.assert` to see it again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  assertEqualBytes,
  assertSame,
  type Binding,
  type CreateReplica,
  fill,
  withReplicas,
} from './harness.ts';

const table = fc.constantFrom('a', 'b', 'c');
const id = fc.integer({ min: 1, max: 60 });
const size = fc.oneof(fc.nat(200), fc.nat(20_000));

const change = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(table, id, size)
      .map(([t, i, n]) => `REPLACE INTO ${t} VALUES (${i}, ${n}, zeroblob(${n}))`),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(table, id, size)
      .map(
        ([t, i, n]) =>
          `INSERT OR IGNORE INTO ${t} SELECT value, ${n}, printf('%.*c', ${n}, 'x') FROM json_each('[${i},${i + 1},${i + 9}]')`,
      ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(table, id, id)
      .map(([t, i, n]) => `DELETE FROM ${t} WHERE id BETWEEN ${i} AND ${i + n}`),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(table, id, size)
      .map(([t, i, n]) => `UPDATE ${t} SET n = ${n}, b = b || 'y' WHERE id < ${i}`),
  },
  { weight: 1, arbitrary: table.map((t) => `DELETE FROM ${t}`) },
);
const schema = fc.oneof(
  table.map((t) => `CREATE INDEX IF NOT EXISTS ${t}_n ON ${t} (n)`),
  table.map((t) => `DROP INDEX IF EXISTS ${t}_n`),
  table.map((t) => `DROP TABLE ${t}; CREATE TABLE ${t} (id INTEGER PRIMARY KEY AUTOINCREMENT, n, b)`),
  fc.constant('VACUUM'),
  fc.constant('PRAGMA incremental_vacuum'),
  fc.constantFrom('PASSIVE', 'RESTART', 'TRUNCATE').map((mode) => `PRAGMA wal_checkpoint(${mode})`),
);
const transaction = fc
  .tuple(
    fc.array(change, { minLength: 1, maxLength: 4 }),
    fc.array(change, { maxLength: 3 }),
    fc.constantFrom('COMMIT', 'ROLLBACK'),
  )
  .map(([kept, undone, end]) =>
    ['BEGIN', ...kept, 'SAVEPOINT s', ...undone, 'ROLLBACK TO s', end].join('; '),
  );
const statement = fc.oneof(
  { weight: 6, arbitrary: change },
  { weight: 2, arbitrary: schema },
  { weight: 3, arbitrary: transaction },
);
const entry = fc.record({
  statements: fc.array(statement, { minLength: 1, maxLength: 4 }),
  reopen: fc.boolean(),
  flush: fc.boolean(),
});
const workload = fc.record({
  binding: fc.constantFrom<Binding>('node', 'libsql'),
  vacuum: fc.constantFrom('NONE', 'FULL', 'INCREMENTAL'),
  entries: fc.array(entry, { minLength: 3, maxLength: 14 }),
  late: fc.record({
    /** After how many of the entries the archive that it begins with was made; all later ones it is given as updates. */
    archived: fc.nat(14),
    start: fc.array(statement, { maxLength: 4 }),
    /** How many of these at most it is given only after its start. */
    rest: fc.nat(3),
    /** Whether it is given a whole state instead of them. */
    whole: fc.boolean(),
  }),
  promoted: fc.array(statement, { minLength: 1, maxLength: 4 }),
});
type Workload = typeof workload extends fc.Arbitrary<infer Value> ? Value : never;

const TABLES = ['(id INTEGER PRIMARY KEY, n, b)', '(id PRIMARY KEY, n, b) WITHOUT ROWID', '(id, n, b)'];

async function execute(work: Workload, create: CreateReplica, names: string): Promise<void> {
  const tables = ['a', 'b', 'c'].map((name, at) => `CREATE TABLE ${name} ${TABLES[at]}`).join('; ');
  const start = `PRAGMA cache_size = 10; PRAGMA auto_vacuum = ${work.vacuum}; VACUUM; ${tables}`;
  const active = await create(`active${names}`).start(work.binding, start);
  const passive = await create(`passive${names}`).start(work.binding);
  passive.state.import().end();
  const first = await active.run();
  passive.state.apply(first);
  let updates = [first];
  let archive: Uint8Array | null = null;
  for (const [at, { statements, reopen, flush }] of work.entries.entries()) {
    if (at === work.late.archived) [archive, updates] = [active.archive(), []];
    const update = await active.run(...statements);
    updates.push(update);
    if (reopen) await active.service.close(active.name);
    passive.state.apply(update);
    assert.deepEqual(passive.state.digest(), active.state.digest());
    if (flush) passive.state.flush();
    if (reopen) await active.service.open(active.name, active.path, work.binding);
    if (flush) await assertSame(active, passive);
  }
  passive.state.flush();
  await assertSame(active, passive);
  // The first one makes what it starts on.
  const rest = updates.splice(Math.max(1, updates.length - work.late.rest));
  const late = create(`late${names}`, archive, false, updates);
  await late.start(work.binding, work.late.start.join(';'));
  if (work.late.whole) fill(late.state.import(), passive.state.export(3000));
  else for (const update of rest) late.state.apply(update);
  late.state.flush();
  await assertSame(passive, late);
  for (const sql of work.promoted) {
    const update = await active.run(sql);
    assertEqualBytes(await passive.run(sql), update, sql);
    late.state.apply(update);
  }
  late.state.flush();
  await assertSame(passive, late);
  for (const replica of [active, passive, late]) {
    await replica.service.close(replica.name);
    replica.state.close();
  }
}

void test('updates, imports, starts and role swaps keep replicas equal under random workloads', async () => {
  await withReplicas(async (create) => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(workload, async (work) => execute(work, create, String((run += 1)))),
      { numRuns: Number(process.env['SPARE_STATE_RUNS'] ?? 15), interruptAfterTimeLimit: 60_000 },
    );
  });
});
