/**
 * The manager's durable memory: the order, decided updates, replies of requests with a key, a few facts. One
 * SQLite database in a thread of its own, so that an fsync never holds up the manager.
 *
 * T1. What is written together or meanwhile becomes durable together: one fsync a batch (`batcher.ts`).
 * T2. Batches become durable in the order written; what is read sees all that was written before.
 * T3. A failure to store is fatal: nothing more is acknowledged, and whoever waits for an answer, or asks later, is refused.
 *     So is who asks a store that was closed; nobody waits for ever.
 */
import type { Worker } from 'node:worker_threads';
import { dataFolderDamaged, messageOf, SpareError, storageFailed } from '../errors.ts';
import { assert } from '../core/index.ts';
import { startThread } from '../thread.ts';
import { asBuffer } from '../wire/bytes.ts';
import { Batcher } from './batcher.ts';
import type { KeptKey, KeptSkip } from './replies.ts';
import {
  packBatch,
  type Recovery,
  type RecordKind,
  type Refusal,
  type StoreAnswer,
  type StoreRequest,
  unpackBatch,
} from './store-protocol.ts';

const NO_BYTES = new Uint8Array(0);

export interface Opened {
  readonly recovery: Recovery;
  readonly entries: readonly { readonly index: number; readonly bytes: Buffer }[];
  /** The index of the next entry. */
  readonly next: number;
  readonly keys: readonly KeptKey[];
  readonly skips: readonly KeptSkip[];
}

function refusal(path: string, code: Refusal, message: string): SpareError {
  switch (code) {
    case 'busy':
      return new SpareError('data-folder-in-use', `Another Spare is running on ${path}.`, {
        hint: 'Stop it first, wait for it if it is a `spare backup`, or use another folder with --data.',
      });
    case 'foreign':
      return new SpareError('data-folder-foreign', `${path} belongs to another service: ${message}.`, {
        hint:
          'If this is a new version of it in another folder, accept it with `spare deploy`, called as `spare run`. ' +
          'Another service needs another folder, with --data.',
      });
    case 'newer':
      return new SpareError('data-folder-foreign', `${path} was written by a newer Spare.`, {
        hint: 'Start that one, or restore a backup that an earlier one made into another folder.',
      });
    case 'damaged':
      return dataFolderDamaged(`${path} is not a Spare database, or it is damaged: ${message}`);
    case 'storage':
      return storageFailed(path, message);
    case 'failed':
      return new SpareError('data-folder-unwritable', `Cannot open ${path}: ${message}.`, {
        hint: 'Spare must be able to write to the data folder. In another one, chosen with --data, a group begins anew.',
      });
  }
}

type Rows = Extract<StoreAnswer, { type: 'rows' }>;

function bytesOf({ rows }: Rows): Buffer[] {
  return [...unpackBatch(rows)].map(({ bytes }) => asBuffer(bytes));
}

interface Waiting {
  readonly resolve: (rows: Rows) => void;
  readonly reject: (error: Error) => void;
}

export class Store {
  readonly #path: string;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  /** Its thread is gone, or goes. */
  #failure: SpareError | null = null;
  readonly #batcher: Batcher;
  /** Called when all entries up to `index` are durable. */
  onDurable: (index: number) => void = () => {};
  /** Called once when the store fails; nothing becomes durable after it. */
  onFailure: (error: SpareError) => void = () => {};

  private constructor(path: string, worker: Worker, last: number) {
    this.#path = path;
    this.#worker = worker;
    this.#batcher = new Batcher(last, (records) => {
      const batch = packBatch(records);
      this.#post({ type: 'batch', batch }, [batch]);
    });
  }

  /** `service` names whose data it is; null: whoever's. Throws `SpareError` data-folder-*. */
  static async open(path: string, service: string | null): Promise<{ store: Store; opened: Opened }> {
    const worker = startThread(new URL('./store-thread.ts', import.meta.url), { path, service });
    const first = await new Promise<StoreAnswer>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    if (first.type === 'refused') {
      await worker.terminate();
      throw refusal(path, first.code, first.message);
    }
    assert(first.type === 'opened', 'the store answers opened first');
    const entries = first.entries.map(({ index, bytes }) => ({ index, bytes: asBuffer(bytes) }));
    const { recovery, keys, skips } = first;
    const next = Math.max(recovery.first, (entries.at(-1)?.index ?? -1) + 1);
    const store = new Store(path, worker, next - 1);
    store.#listen();
    return { store, opened: { recovery, entries, next, keys, skips } };
  }

  #listen(): void {
    this.#worker.on('message', (message: StoreAnswer) => this.#answered(message));
    this.#worker.on('error', (error: unknown) => this.#failed(messageOf(error)));
  }

  #answered(message: StoreAnswer): void {
    switch (message.type) {
      case 'durable':
        this.onDurable(this.#batcher.stored());
        return this.#batcher.next();
      case 'rows':
        this.#waiting.get(message.id)?.resolve(message);
        this.#waiting.delete(message.id);
        return undefined;
      case 'not-copied':
        this.#waiting.get(message.id)?.reject(new Error(message.message));
        this.#waiting.delete(message.id);
        return undefined;
      case 'failed':
        return this.#failed(message.message, message.code);
      case 'opened':
      case 'refused':
        return undefined;
    }
  }

  #failed(message: string, code: 'damaged' | 'failed' = 'failed'): void {
    if (this.#failure !== null) return;
    this.#failure =
      code === 'damaged' ? refusal(this.#path, code, message) : storageFailed(this.#path, message);
    this.onFailure(this.#failure);
    this.#refuse(this.#failure);
  }

  /** Nothing is answered any more. */
  #refuse(why: SpareError): void {
    for (const { reject } of this.#waiting.values()) reject(why);
    this.#waiting.clear();
  }

  #post(request: StoreRequest, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, transfer);
  }

  /** Somebody waits for this entry to be durable. */
  writeEntry(index: number, bytes: Uint8Array): void {
    this.#batcher.entry(index, bytes);
  }

  /** All updates up to `index` were written. */
  writeDecided(index: number): void {
    this.#batcher.decided(index);
  }

  write(kind: RecordKind, index: number, bytes: Uint8Array = NO_BYTES): void {
    this.#batcher.other({ kind, index, bytes });
  }

  /** Rejects with what the store failed of, or that it was closed (T3); where a copy alone cannot be made, with an Error that says why. */
  #ask(request: (id: number) => StoreRequest): Promise<Rows> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      this.#waiting.set(id, { resolve, reject });
      this.#post(request(id));
    });
  }

  /**
   * Decided updates `from` to `through`, both included and written, in order, some at a time; entries that changed nothing have
   * none. What is truncated meanwhile is missing.
   */
  async *updates(from: number, through: number): AsyncGenerator<Buffer[]> {
    this.#batcher.flush();
    for (let next = from; next <= through;) {
      const first = next;
      const read = await this.#ask((id) => ({ type: 'updates', id, from: first, through }));
      yield bytesOf(read);
      next = read.through + 1;
    }
  }

  /** When all that was written before the call is durable. */
  async durable(): Promise<void> {
    this.#batcher.flush();
    await this.#ask((id) => ({ type: 'updates', id, from: 0, through: -1 }));
  }

  /** The reply that was decided for an entry with a key, or null. */
  async reply(index: number): Promise<Buffer | null> {
    this.#batcher.flush();
    const [reply] = bytesOf(await this.#ask((id) => ({ type: 'reply', id, index })));
    return reply ?? null;
  }

  /** Copies the database to a new file, with all that was written before the call. Goes on writing meanwhile. */
  async copy(path: string): Promise<void> {
    this.#batcher.flush();
    await this.#ask((id) => ({ type: 'copy', id, path }));
  }

  /** What was asked before is answered, but for a copy that is not done. */
  async close(): Promise<void> {
    this.#batcher.flush();
    if (this.#failure !== null) return void (await this.#worker.terminate());
    this.#failure = storageFailed(this.#path, 'it was closed');
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#post({ type: 'close' });
    await exited;
    this.#refuse(this.#failure);
  }
}
