/**
 * The encoding of one entry of the order, as it is logged and as a replica gets it.
 *
 * `{kind, time, seed, body}`: the body is a request with its idempotency key and fingerprint, a command as JSON,
 * or nothing. A front door encodes an entry once; the log and every replica get the same bytes.
 */
import type { Command, Entry, Key } from '../core/index.ts';
import { MalformedError, Reader, Writer } from './bytes.ts';

const KINDS = ['start', 'request', 'tick', 'mark', 'command'] as const;
type Kind = (typeof KINDS)[number];

export const SEED_BYTES = 32;
const HEAD_BYTES = 1 + 8 + SEED_BYTES;

function writeHead(writer: Writer, kind: Kind, timeMs: number, seed: Uint8Array): Writer {
  return writer.u8(KINDS.indexOf(kind)).f64(timeMs).raw(seed);
}

/** An entry without a body: the start of the service, a tick of its timers, a mark (a digest of its state). */
export function encodeBare(kind: 'start' | 'tick' | 'mark', timeMs: number, seed: Uint8Array): Buffer {
  return writeHead(new Writer(HEAD_BYTES), kind, timeMs, seed).bytes;
}

export function encodeCommand(command: Command, timeMs: number, seed: Uint8Array): Buffer {
  const json = Buffer.from(JSON.stringify(command));
  return writeHead(new Writer(HEAD_BYTES + json.length), 'command', timeMs, seed).raw(json).bytes;
}

/** `request` is the output of `encodeRequest`. */
export function encodeRequestEntry(
  key: Key | null,
  request: Uint8Array,
  timeMs: number,
  seed: Uint8Array,
): Buffer {
  const text = key === null ? '' : `${key.fingerprint} ${key.key}`;
  const writer = new Writer(HEAD_BYTES + 2 + text.length + request.length);
  return writeHead(writer, 'request', timeMs, seed).u16(text.length).latin1(text).raw(request).bytes;
}

export interface DecodedEntry {
  readonly kind: Kind;
  readonly timeMs: number;
  readonly seed: Buffer;
  readonly key: Key | null;
  /** The request's or command's bytes. */
  readonly body: Buffer;
}

/** Throws `MalformedError`: only for a damaged log, for entries come from managers alone. */
export function decodeEntry(bytes: Buffer): DecodedEntry {
  const reader = new Reader(bytes);
  const kind = KINDS[reader.u8()];
  if (kind === undefined) throw new MalformedError('unknown kind of entry');
  const timeMs = reader.f64();
  const seed = reader.bytes(SEED_BYTES);
  let key: Key | null = null;
  if (kind === 'request') {
    const text = reader.latin1(reader.u16());
    const space = text.indexOf(' ');
    if (space > 0) key = { fingerprint: text.slice(0, space), key: text.slice(space + 1) };
  }
  return { kind, timeMs, seed, key, body: reader.rest() };
}

/** What the core needs to know of an entry. */
export function coreEntry(decoded: DecodedEntry): Entry {
  switch (decoded.kind) {
    case 'request':
      return { type: 'request', time: decoded.timeMs, key: decoded.key, bytes: decoded.body.length };
    case 'command':
      return {
        type: 'command',
        time: decoded.timeMs,
        command: JSON.parse(decoded.body.toString()) as Command,
      };
    case 'start':
    case 'tick':
    case 'mark':
      return { type: decoded.kind, time: decoded.timeMs };
  }
}
