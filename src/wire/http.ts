/**
 * The encodings of an HTTP request and reply, as they are ordered, executed and voted on.
 *
 * One request has one encoding and one reply has one encoding, so that equal replies have equal digests. Headers
 * are a flat list `[name, value, name, value, …]` in the order they came, latin1 as on the wire; hop-by-hop
 * headers, `Date` and `Content-Length` are left out, for the front door writes its own.
 */
import { MalformedError, Reader, Writer } from './bytes.ts';

export interface HttpRequest {
  readonly method: string;
  /** Path and query, as the client sent it. */
  readonly target: string;
  readonly headers: readonly string[];
  readonly body: Uint8Array;
}

export interface HttpReply {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: Uint8Array;
}

/** At most this many headers, names and values counted together. */
export const HEADERS_MAX: number = 512;

function headersSize(headers: readonly string[]): number {
  let size = 2;
  for (const text of headers) size += 4 + text.length;
  return size;
}

function writeHeaders(writer: Writer, headers: readonly string[]): void {
  writer.u16(headers.length);
  for (const text of headers) writer.u32(text.length).latin1(text);
}

function readHeaders(reader: Reader): string[] {
  const count = reader.u16();
  if (count > HEADERS_MAX || count % 2 !== 0) throw new MalformedError(`${count} header parts`);
  const headers: string[] = [];
  for (let i = 0; i < count; i++) headers.push(reader.latin1(reader.u32()));
  return headers;
}

export function encodeRequest(request: HttpRequest): Buffer {
  const { method, target, headers, body } = request;
  const writer = new Writer(1 + method.length + 4 + target.length + headersSize(headers) + body.length);
  writer.u8(method.length).latin1(method).u32(target.length).latin1(target);
  writeHeaders(writer, headers);
  return writer.raw(body).bytes;
}

/** Throws `MalformedError`. */
export function decodeRequest(bytes: Buffer): HttpRequest {
  const reader = new Reader(bytes);
  const method = reader.latin1(reader.u8());
  const target = reader.latin1(reader.u32());
  const headers = readHeaders(reader);
  return { method, target, headers, body: reader.rest() };
}

export function encodeReply(reply: HttpReply): Buffer {
  const writer = new Writer(2 + headersSize(reply.headers) + reply.body.length);
  writer.u16(reply.status);
  writeHeaders(writer, reply.headers);
  return writer.raw(reply.body).bytes;
}

/** What its body is compressed by, as it says; undefined: it says nothing. */
export function codingOf({ headers }: HttpReply): string | undefined {
  const at = headers.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === 'content-encoding');
  return at === -1 ? undefined : headers[at + 1];
}

/** Of what is malformed, for the operator. */
const SHOWN = 60;

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// oxlint-disable-next-line no-control-regex
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Throws `MalformedError` also for what must never reach a client: response splitting, an impossible status. */
export function decodeReply(bytes: Buffer): HttpReply {
  const reader = new Reader(bytes);
  const status = reader.u16();
  if (status < 200 || status > 599) throw new MalformedError(`status ${status}`);
  const headers = readHeaders(reader);
  let lengths = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (!HEADER_NAME.test(name) || !HEADER_VALUE.test(headers[i + 1] ?? '')) {
      throw new MalformedError(`header ${JSON.stringify(name.slice(0, SHOWN))}`);
    }
    if (!dropped(name)) continue;
    const isLength = name === LENGTH && /^\d{1,15}$/.test(headers[i + 1] ?? '') && reader.left === 0;
    if (!isLength || lengths++ > 0) {
      throw new MalformedError(`header ${name} is not the service's to send`);
    }
  }
  return { status, headers, body: reader.rest() };
}

const LENGTH = 'content-length';

/** Whether a reply tells the length of a body that is not there, which only the reply to a HEAD request may do. */
export function namesLength(reply: HttpReply): boolean {
  return reply.headers.some((name, i) => i % 2 === 0 && name === LENGTH);
}

const DROPPED = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  LENGTH,
  'date',
]);

function dropped(name: string): boolean {
  return DROPPED.has(name.toLowerCase());
}

/**
 * What of a message's raw headers belongs to the message itself: without hop-by-hop headers (RFC 9110, 7.6.1,
 * those that `Connection` names too), and without `Date` and `Content-Length`. The reply to a HEAD request tells the
 * length of a body that is not there: `keepLength`.
 */
export function endToEndHeaders(raw: readonly string[], keepLength = false): string[] {
  let named: Set<string> | null = null;
  for (let i = 0; i < raw.length; i += 2) {
    const value = raw[i + 1] ?? '';
    if (raw[i]?.toLowerCase() !== 'connection' || /^(keep-alive|close)$/i.test(value)) continue;
    named ??= new Set();
    for (const token of value.split(',')) named.add(token.trim().toLowerCase());
  }
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? '';
    if (keepLength && name.toLowerCase() === LENGTH) kept.push(LENGTH, raw[i + 1] ?? '');
    else if (!dropped(name) && named?.has(name.toLowerCase()) !== true) kept.push(name, raw[i + 1] ?? '');
  }
  return kept;
}
