/** Where two encoded replies differ: status, headers, body. Either may be no reply at all. */
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { MalformedError } from '../../wire/bytes.ts';
import { codingOf, decodeReply, type HttpReply } from '../../wire/http.ts';
import { bodyDifferences } from './bodies.ts';
import { type Difference, NOTHING, shortened, shortenedBoth } from './difference.ts';

type Decode = (body: Uint8Array, options: { maxOutputLength: number }) => Buffer;
/** By `Content-Encoding`. */
const DECODERS: ReadonlyMap<string, Decode> = new Map<string, Decode>([
  ['br', brotliDecompressSync],
  ['deflate', inflateSync],
  ['gzip', gunzipSync],
  ['zstd', zstdDecompressSync],
]);
/** A body that is longer before it was compressed is compared as it came. */
const PLAIN_BYTES_MAX = 4 * 1024 ** 2;

export function replyDifferences(is: Buffer, instead: Buffer): Difference[] {
  const a = decoded(is);
  const b = decoded(instead);
  if (typeof a === 'string' || typeof b === 'string') {
    return [{ where: 'form', is: form(a), instead: form(b) }];
  }
  const status: Difference[] =
    a.status === b.status ? [] : [{ where: 'status', is: String(a.status), instead: String(b.status) }];
  return [...status, ...headerDifferences(a.headers, b.headers), ...bodiesDifferences(a, b)];
}

/** As they were before they were compressed, if that is where they differ. */
function bodiesDifferences(a: HttpReply, b: HttpReply): Difference[] {
  const is = plain(a);
  const instead = plain(b);
  const found = is === undefined || instead === undefined ? [] : bodyDifferences(is, instead);
  return found.length > 0 ? found : bodyDifferences(Buffer.from(a.body), Buffer.from(b.body));
}

function plain(reply: HttpReply): Buffer | undefined {
  const decode = DECODERS.get(codingOf(reply)?.toLowerCase() ?? '');
  try {
    return decode?.(reply.body, { maxOutputLength: PLAIN_BYTES_MAX });
  } catch {
    return undefined;
  }
}

function decoded(bytes: Buffer): HttpReply | string {
  try {
    return decodeReply(bytes);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return error.message;
  }
}

function form(reply: HttpReply | string): string {
  return typeof reply === 'string' ? `not a valid reply: ${shortened(reply)}` : 'a valid reply';
}

function headerDifferences(is: readonly string[], instead: readonly string[]): Difference[] {
  const a = byName(is);
  const b = byName(instead);
  const found: Difference[] = [];
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const values = a.get(name) ?? NOTHING;
    const others = b.get(name) ?? NOTHING;
    if (values !== others)
      found.push({ where: `header ${shortened(name)}`, ...shortenedBoth(values, others) });
  }
  if (found.length > 0 || (is.length === instead.length && is.every((text, i) => text === instead[i])))
    return found;
  const names = (headers: readonly string[]): string => headers.filter((_, i) => i % 2 === 0).join(', ');
  return [{ where: 'headers, their order or case', ...shortenedBoth(names(is), names(instead)) }];
}

function byName(headers: readonly string[]): Map<string, string> {
  const values = new Map<string, string>();
  for (let i = 0; i < headers.length; i += 2) {
    const name = (headers[i] ?? '').toLowerCase();
    const known = values.get(name);
    const value = JSON.stringify(headers[i + 1] ?? '');
    values.set(name, known === undefined ? value : `${known}, ${value}`);
  }
  return values;
}
