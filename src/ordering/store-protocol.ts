/**
 * What goes between the store and its thread: one packed buffer for all records, handed over without a copy.
 *
 * A record is `u8 kind, f64 index, u32 length, bytes`.
 */
import { Reader, Writer } from '../wire/bytes.ts';
import type { KeptKey, KeptSkip } from './replies.ts';

export const RECORD = {
  /** An entry of the order. */
  entry: 1,
  /** The decided update of an entry. */
  update: 2,
  /** The decided reply of an entry with an idempotency key. */
  reply: 3,
  /** The entry up to which updates are recorded. */
  decided: 4,
  /** Entries up to here, but for entry 0, are not needed any more; the bytes say where the order goes on. */
  truncateOrder: 5,
  truncateUpdates: 6,
  /** A key, and its reply, that gave way to the entry whose index the bytes say. */
  forgetReply: 7,
  /** The checkpoint file in force. */
  checkpoint: 8,
  /** Number of the next replica. */
  nextReplica: 9,
  /** The digest of the initial state. */
  base: 10,
  /** An entry that, if it has a key, is kept as skipped; the bytes say why. */
  skipped: 11,
} as const;

/** Of the data folder, in its database; raised by what an earlier Spare would misread. */
export const FORMAT = 1;

/** Tables of the store's database. `bytes` of a reply are text where the entry was skipped: why. `sum`: see `sums.ts`. */
export const SCHEMA: string = `
  create table if not exists entries (idx integer primary key, bytes blob not null, sum integer);
  create table if not exists updates (idx integer primary key, bytes blob not null, sum integer);
  create table if not exists replies (idx integer primary key, key text not null, fingerprint text not null, bytes blob, sum integer);
  create table if not exists forgotten (at integer, idx integer, primary key (at, idx)) without rowid;
  create table if not exists facts (name text primary key, value text not null);
  pragma user_version = ${FORMAT};`;

export type RecordKind = (typeof RECORD)[keyof typeof RECORD];

export interface StoreRecord {
  readonly kind: RecordKind;
  readonly index: number;
  readonly bytes: Uint8Array;
}

const HEAD_BYTES = 13;

export function packBatch(records: readonly StoreRecord[]): ArrayBuffer {
  let size = 0;
  for (const { bytes } of records) size += HEAD_BYTES + bytes.length;
  const packed = new ArrayBuffer(size);
  const writer = new Writer(Buffer.from(packed));
  for (const { kind, index, bytes } of records) writer.u8(kind).f64(index).u32(bytes.length).raw(bytes);
  return packed;
}

export function* unpackBatch(packed: ArrayBuffer): Iterable<StoreRecord> {
  const reader = new Reader(Buffer.from(packed));
  while (reader.left > 0) {
    const kind = reader.u8() as RecordKind;
    const index = reader.f64();
    yield { kind, index, bytes: reader.bytes(reader.u32()) };
  }
}

/** A whole state in a file of the data folder. */
export interface Checkpoint {
  readonly index: number;
  readonly file: string;
  /** SHA-256 of the file, in base64. Earlier versions wrote none. */
  readonly digest?: string;
}

export interface Recovery {
  /** The order goes on here; what came before it was truncated. */
  readonly first: number;
  readonly timeMs: number;
  readonly tickMs: number;
  /** Updates are recorded up to here; -1 when there is none. */
  readonly decided: number;
  readonly nextReplica: number;
  /** Of all updates together. */
  readonly updateBytes: number;
  readonly checkpoint: Checkpoint | null;
  /** As of a checkpoint; null: there was no initial state, or an earlier version took it over. */
  readonly base: string | null;
}

export type StoreRequest =
  | { readonly type: 'batch'; readonly batch: ArrayBuffer }
  /** The first of them: not so many that a batch would wait for long. */
  | { readonly type: 'updates'; readonly id: number; readonly from: number; readonly through: number }
  | { readonly type: 'reply'; readonly id: number; readonly index: number }
  /** Copies the whole database into a new file, as it is when that is done. */
  | { readonly type: 'copy'; readonly id: number; readonly path: string }
  | { readonly type: 'close' };

/** Why a database is not opened. */
export type Refusal = 'busy' | 'damaged' | 'foreign' | 'newer' | 'storage' | 'failed';

export type StoreAnswer =
  | {
      readonly type: 'opened';
      readonly recovery: Recovery;
      readonly entries: readonly { readonly index: number; readonly bytes: Uint8Array }[];
      readonly keys: readonly KeptKey[];
      readonly skips: readonly KeptSkip[];
    }
  | { readonly type: 'refused'; readonly code: Refusal; readonly message: string }
  | { readonly type: 'durable' }
  /** `rows`: packed. `through`: there are no others up to here. */
  | { readonly type: 'rows'; readonly id: number; readonly rows: ArrayBuffer; readonly through: number }
  | { readonly type: 'not-copied'; readonly id: number; readonly message: string }
  | { readonly type: 'failed'; readonly code: 'damaged' | 'failed'; readonly message: string };
