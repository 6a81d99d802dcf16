/**
 * For the tests here: a service process that holds databases open, with Node's SQLite or with libsql's, and replicas
 * whose state is followed from this process, as the agent does it from outside the service.
 *
 * This process must not open the database files in any other way: closing them would drop the agent's locks.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createSqliteState } from './sqlite.ts';
import type { Intake, State } from './state.ts';

export type Binding = 'node' | 'libsql';
type Row = Record<string, unknown>;
type Command =
  | { readonly type: 'open'; readonly name: string; readonly path: string; readonly binding: Binding }
  | { readonly type: 'exec' | 'rows' | 'cursor'; readonly name: string; readonly sql: string }
  | { readonly type: 'advance' | 'close'; readonly name: string };
type Answer = { readonly rows: Row[] } | { readonly error: string };

/** What both bindings have in common. */
interface Connection {
  exec(sql: string): void;
  prepare(sql: string): { all(): unknown[]; iterate(): Iterator<unknown> };
  close(): void;
}

/** The process of a service; `name` is one of its connections. */
export class Service {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(import.meta.filename, ['service'], { serialization: 'advanced' });
  }

  async open(name: string, path: string, binding: Binding = 'node'): Promise<void> {
    await this.#ask({ type: 'open', name, path, binding });
  }

  async exec(name: string, sql: string): Promise<void> {
    await this.#ask({ type: 'exec', name, sql });
  }

  async rows(name: string, sql: string): Promise<Row[]> {
    return this.#ask({ type: 'rows', name, sql });
  }

  /** Begins to read and stops after the first row. */
  async cursor(name: string, sql: string): Promise<Row[]> {
    return this.#ask({ type: 'cursor', name, sql });
  }

  /** Reads what the cursor has left, and ends it. */
  async advance(name: string): Promise<Row[]> {
    return this.#ask({ type: 'advance', name });
  }

  async close(name: string): Promise<void> {
    await this.#ask({ type: 'close', name });
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  async #ask(command: Command): Promise<Row[]> {
    const answered = once(this.#child, 'message');
    this.#child.send(command);
    const [answer] = (await answered) as [Answer];
    if ('error' in answer) throw new Error(answer.error);
    return answer.rows;
  }
}

/** Keeps a connection at work for that many steps, of which a million take some tenths of a second. */
export function busyFor(steps: number): string {
  return `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${steps}) SELECT max(i) FROM n`;
}

/** Gives it a whole state. */
export function fill(intake: Intake, pieces: Iterable<Uint8Array>): void {
  for (const piece of pieces) intake.take(piece);
  intake.end();
}

/** One replica: the state as the agent sees it, and the connection of the same name in the service. */
export class Replica {
  readonly name: string;
  readonly path: string;
  readonly state: State;
  readonly service: Service;
  #binding: Binding = 'node';

  constructor(
    service: Service,
    folder: string,
    name: string,
    base: Uint8Array | null,
    founds: boolean,
    updates: readonly Uint8Array[],
  ) {
    this.service = service;
    this.name = name;
    this.path = join(folder, name, 'service.db');
    this.state = createSqliteState([this.path]);
    fill(this.state.prepare(), base === null ? [] : [base]);
    for (const update of updates) this.state.apply(update);
    this.state.leave(founds, join(folder, name, 'reads'));
  }

  async start(binding: Binding = 'node', sql = ''): Promise<this> {
    this.#binding = binding;
    await this.service.open(this.name, this.path, binding);
    await this.service.exec(this.name, sql);
    this.state.open();
    return this;
  }

  /** Executes one entry. */
  async run(...statements: readonly string[]): Promise<Uint8Array> {
    for (const sql of statements) await this.service.exec(this.name, sql);
    return this.state.capture();
  }

  async rows(sql: string): Promise<Row[]> {
    return this.service.rows(this.name, sql);
  }

  /** All tables with their content, as the service's open connection sees them. */
  async content(): Promise<Row> {
    const content: Row = {};
    const tables = await this.rows("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    for (const { name, sql } of tables)
      content[String(sql)] = await this.rows(`SELECT * FROM "${String(name)}"`);
    return content;
  }

  /** What SQLite thinks of the database; on a new connection, since FTS5 complains on one that is not the writer's. */
  async integrity(): Promise<unknown> {
    // Never with another library than the service's: within a process they would drop each other's locks.
    await this.service.open('integrity', this.path, this.#binding);
    const [row] = await this.service.rows('integrity', 'PRAGMA integrity_check');
    await this.service.close('integrity');
    return row?.['integrity_check'];
  }

  /** The archive of the state. */
  archive(): Uint8Array {
    return Buffer.concat([...this.state.export(100_000)]);
  }

  /** The database file as it is, read by another process. */
  file(): Buffer {
    return execFileSync('cat', [this.path], { maxBuffer: 1 << 30 });
  }
}

/** `base`: an archive, of nothing by default; `founds`, by default, as of `State.leave`; `updates`: what is applied before that. */
export type CreateReplica = (
  name: string,
  base?: Uint8Array | null,
  founds?: boolean,
  updates?: readonly Uint8Array[],
) => Replica;

/** Runs a test with a service process and a folder of its own; everything is gone afterwards. */
export async function withReplicas(
  test: (replica: CreateReplica, service: Service, folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'spare-state-'));
  const service = new Service();
  const replicas: Replica[] = [];
  const create: CreateReplica = (name, base = null, founds = true, updates = []) => {
    const replica = new Replica(service, folder, name, base, founds, updates);
    replicas.push(replica);
    return replica;
  };
  try {
    await test(create, service, folder);
  } finally {
    for (const replica of replicas) replica.state.close();
    service.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Like `assert.deepEqual`, without a long search for the difference. */
export function assertEqualBytes(actual: Uint8Array, expected: Uint8Array, what = ''): void {
  assert.ok(
    Buffer.compare(actual, expected) === 0,
    `${what} differs (${actual.length} and ${expected.length} bytes)`,
  );
}

/** Checks that two replicas are in the same state, by digest, by archive and, for `passive`, in the file itself. */
export async function assertSame(active: Replica, passive: Replica): Promise<void> {
  assert.deepEqual(passive.state.digest(), active.state.digest());
  const archive = active.archive();
  assertEqualBytes(passive.archive(), archive, 'the archive');
  const file = passive.file();
  assert.ok(
    file.equals(archive.subarray(archive.length - file.length)),
    'the file of the passive replica differs',
  );
  assert.deepEqual(await passive.content(), await active.content());
  assert.equal(await passive.integrity(), 'ok');
}

function serve(): void {
  const connections = new Map<string, Connection>();
  const cursors = new Map<string, Iterator<unknown>>();
  const connection = (name: string): Connection => {
    const found = connections.get(name);
    if (found === undefined) throw new Error(`no connection ${name}`);
    return found;
  };
  const execute = (command: Command): unknown[] => {
    switch (command.type) {
      case 'open':
        connections.set(command.name, connect(command.path, command.binding));
        return [];
      case 'exec':
        connection(command.name).exec(command.sql);
        return [];
      case 'rows':
        return connection(command.name).prepare(command.sql).all();
      case 'cursor': {
        const cursor = connection(command.name).prepare(command.sql).iterate();
        cursors.set(command.name, cursor);
        return [cursor.next().value];
      }
      case 'advance': {
        const rest: unknown[] = [];
        const cursor = cursors.get(command.name);
        for (let row = cursor?.next(); row?.done === false; row = cursor?.next()) rest.push(row.value);
        return rest;
      }
      case 'close':
        connection(command.name).close();
        connections.delete(command.name);
        return [];
    }
  };
  process.on('message', (command: Command) => {
    try {
      process.send?.({ rows: execute(command) });
    } catch (error) {
      process.send?.({ error: String(error) });
    }
  });
}

function connect(path: string, binding: Binding): Connection {
  if (binding === 'node') return new DatabaseSync(path);
  const Libsql = createRequire(import.meta.url)(libsqlPath()) as new (path: string) => Connection;
  return new Libsql(path);
}

/** The binding that the example service uses, through its dependencies. */
function libsqlPath(): string {
  let from = join(import.meta.dirname, '../../../examples/conduit/package.json');
  for (const name of ['realworld-hono-drizzle', '@libsql/client', 'libsql'])
    from = createRequire(from).resolve(name);
  return from;
}

if (process.argv[2] === 'service') serve();
