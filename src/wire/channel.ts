/**
 * What a manager tells a replica's agent, and what the agent answers. The agent works one order after another and
 * answers in that order, so that neither side needs request numbers:
 *
 * | order     | answer                                                                              |
 * |-----------|-------------------------------------------------------------------------------------|
 * | `prepare` | none; the state that the service starts on follows, as `import` and `apply`         |
 * | `start`   | `result` of index 0: an empty reply, and what the start wrote, if it founds         |
 * | `execute` | `result`                                                                            |
 * | `digest`  | `digest` of the state, all updates written, the size of its export, and whether     |
 * |           | what the service read when it started has changed since                             |
 * | `export`  | `chunk`s of the full size, but for the last one, which is marked                    |
 * | `import`  | none; an import is a run of chunks, the last one marked                             |
 * | `apply`   | none                                                                                |
 *
 * Any order may be answered by `failed` instead, with a sentence for the operator, and the agent ends.
 */
import { MalformedError, Reader, Writer } from './bytes.ts';
import { FRAME_HEAD_BYTES, type Frame, frameHead } from './frames.ts';

export interface StartOrder {
  readonly timeMs: number;
  readonly seed: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly port: number;
  /** Whether what the service writes while it starts may become the state; else the state stays what it was before. */
  readonly founds: boolean;
  /** How long the service may take to listen, milliseconds. */
  readonly timeoutMs: number;
  readonly replyBytesMax: number;
}

const ORDER = { start: 1, execute: 2, apply: 3, digest: 4, export: 5, import: 6, prepare: 7 } as const;
const ANSWER = { result: 1, digest: 2, chunk: 3, failed: 4 } as const;

/**
 * What one entry may change of the state, as an encoded update, and so the largest order, an `apply`: bodies of requests are at
 * most half as large (`limits.bodyBytes`).
 */
export const UPDATE_BYTES_MAX: number = 64 * 1024 * 1024;
/** Said by an agent whose service changed more: all honest ones say the same, and the entry is skipped. */
export const UPDATE_TOO_LARGE: string = `the service changed more than ${UPDATE_BYTES_MAX / 1024 ** 2} MiB of its state at once`;
export const CHUNK_BYTES: number = 1024 * 1024;
const FAILED_BYTES_MAX = 4096;
const DIGEST_BYTES = 32;
/** Of `stateMark`. */
const MARK_BYTES = DIGEST_BYTES + 8;

/** `state`: database files, relative to the working folder. */
export function prepareFrames(state: readonly string[]): Buffer[] {
  const json = Buffer.from(JSON.stringify(state));
  return [frameHead(ORDER.prepare, json.length), json];
}

export function startFrames(order: StartOrder): Buffer[] {
  const json = Buffer.from(JSON.stringify(order));
  return [frameHead(ORDER.start, json.length), json];
}

/** `entry` is the entry's own encoding, sent as it is. `timeMs` and `tickFromMs` are the agreed times. */
export function executeFrames(index: number, timeMs: number, tickFromMs: number, entry: Buffer): Buffer[] {
  const head = frameHead(ORDER.execute, 24 + entry.length, 24);
  head.writeDoubleLE(index, FRAME_HEAD_BYTES);
  head.writeDoubleLE(timeMs, FRAME_HEAD_BYTES + 8);
  head.writeDoubleLE(tickFromMs, FRAME_HEAD_BYTES + 16);
  return [head, entry];
}

export function applyFrames(update: Buffer): Buffer[] {
  return [frameHead(ORDER.apply, update.length), update];
}

export function digestFrames(): Buffer[] {
  return [frameHead(ORDER.digest, 0)];
}

export function exportFrames(): Buffer[] {
  return [frameHead(ORDER.export, 0)];
}

export function importFrames(chunk: Buffer, last: boolean): Buffer[] {
  const head = frameHead(ORDER.import, 1 + chunk.length, 1);
  head[FRAME_HEAD_BYTES] = last ? 1 : 0;
  return [head, chunk];
}

export type Order =
  | { readonly type: 'prepare'; readonly state: readonly string[] }
  | { readonly type: 'start'; readonly order: StartOrder }
  | {
      readonly type: 'execute';
      readonly index: number;
      readonly timeMs: number;
      readonly tickFromMs: number;
      readonly entry: Buffer;
    }
  | { readonly type: 'apply'; readonly update: Buffer }
  | { readonly type: 'digest' }
  | { readonly type: 'export' }
  | { readonly type: 'import'; readonly last: boolean; readonly chunk: Buffer };

/** The agent's side; the manager is trusted there. */
export function decodeOrder(frame: Frame): Order {
  const reader = new Reader(frame.payload);
  switch (frame.type) {
    case ORDER.prepare:
      return { type: 'prepare', state: JSON.parse(frame.payload.toString()) as string[] };
    case ORDER.start:
      return { type: 'start', order: JSON.parse(frame.payload.toString()) as StartOrder };
    case ORDER.execute:
      return {
        type: 'execute',
        index: reader.integer(),
        timeMs: reader.f64(),
        tickFromMs: reader.f64(),
        entry: reader.rest(),
      };
    case ORDER.apply:
      return { type: 'apply', update: frame.payload };
    case ORDER.digest:
      return { type: 'digest' };
    case ORDER.export:
      return { type: 'export' };
    case ORDER.import:
      return { type: 'import', last: reader.u8() === 1, chunk: reader.rest() };
    default:
      throw new MalformedError(`unknown order ${frame.type}`);
  }
}

/** Bytes of a replica, checked in form only: nothing in them is believed before f+1 replicas agree. */
export type Answer =
  | { readonly type: 'result'; readonly index: number; readonly reply: Buffer; readonly update: Buffer }
  /** `digest` stands for `exportBytes`, too; `outdated` is of the replica alone. */
  | {
      readonly type: 'digest';
      readonly digest: string;
      readonly exportBytes: number;
      readonly outdated: boolean;
    }
  | { readonly type: 'chunk'; readonly last: boolean; readonly chunk: Buffer }
  | { readonly type: 'failed'; readonly message: string };

export function resultFrames(index: number, reply: Uint8Array, update: Uint8Array): Uint8Array[] {
  const head = frameHead(ANSWER.result, 12 + reply.length + update.length, 12);
  head.writeDoubleLE(index, FRAME_HEAD_BYTES);
  head.writeUInt32LE(reply.length, FRAME_HEAD_BYTES + 8);
  return [head, reply, update];
}

/** What stands for a state: its digest and how large its export is. The decided reply of a mark, too. */
export function stateMark(digest: Uint8Array, exportBytes: number): Uint8Array {
  return new Writer(MARK_BYTES).raw(digest).f64(exportBytes).bytes;
}

/** `mark`: of `stateMark`; `outdated`: whether the service read something else when it started. */
export function digestAnswer(mark: Uint8Array, outdated: boolean): Uint8Array[] {
  return [frameHead(ANSWER.digest, mark.length + 1), mark, Buffer.of(outdated ? 1 : 0)];
}

export function chunkFrames(chunk: Uint8Array, last: boolean): Uint8Array[] {
  const head = frameHead(ANSWER.chunk, 1 + chunk.length, 1);
  head[FRAME_HEAD_BYTES] = last ? 1 : 0;
  return [head, chunk];
}

export function failedFrames(message: string): Uint8Array[] {
  const text = Buffer.from(message).subarray(0, FAILED_BYTES_MAX);
  return [frameHead(ANSWER.failed, text.length), text];
}

/** The gateway: throws `MalformedError` on anything that no honest agent sends. */
export function decodeAnswer(frame: Frame): Answer {
  const reader = new Reader(frame.payload);
  switch (frame.type) {
    case ANSWER.result: {
      const index = reader.integer();
      const reply = reader.bytes(reader.u32());
      if (reader.left > UPDATE_BYTES_MAX) throw new MalformedError(`an update of ${reader.left} bytes`);
      return { type: 'result', index, reply, update: reader.rest() };
    }
    case ANSWER.digest: {
      reader.bytes(DIGEST_BYTES);
      const exportBytes = reader.integer();
      const outdated = reader.u8();
      if (outdated > 1 || reader.left > 0) throw new MalformedError('a bad digest');
      const digest = frame.payload.toString('base64', 0, MARK_BYTES);
      return { type: 'digest', digest, exportBytes, outdated: outdated === 1 };
    }
    case ANSWER.chunk: {
      const last = reader.u8();
      const isWhole = reader.left === CHUNK_BYTES || (last === 1 && reader.left < CHUNK_BYTES);
      if (last > 1 || !isWhole) throw new MalformedError('a bad chunk');
      return { type: 'chunk', last: last === 1, chunk: reader.rest() };
    }
    case ANSWER.failed:
      if (frame.payload.length > FAILED_BYTES_MAX) throw new MalformedError('a message too long');
      return { type: 'failed', message: printable(frame.payload.toString()) };
    default:
      throw new MalformedError(`unknown answer ${frame.type}`);
  }
}

/** Text of a replica in a line for an operator: nothing in it controls a terminal, turns the text around, or ends the line. */
export function printable(text: string): string {
  return printableLines(text).replaceAll('\n', '\u{240a}').replaceAll('\t', '\u{2409}');
}

/** The same for text whose lines and tabs are kept: whoever shows them says before each of them whose they are. */
export function printableLines(text: string): string {
  return text.replace(/[^\P{C}\n\t]|[\p{Zl}\p{Zp}]/gu, '\u{fffd}');
}
