/** Where two encoded replies differ: status, headers, body. Either may be no reply at all. */
import { MalformedError } from '../../wire/bytes.ts';
import { decodeReply, type HttpReply } from '../../wire/http.ts';
import { bodyDifferences } from './bodies.ts';
import { type Difference, NOTHING, shortened, shortenedBoth } from './difference.ts';

export function replyDifferences(is: Buffer, instead: Buffer): Difference[] {
  const a = decoded(is);
  const b = decoded(instead);
  if (typeof a === 'string' || typeof b === 'string') {
    return [{ where: 'form', is: form(a), instead: form(b) }];
  }
  const status: Difference[] =
    a.status === b.status ? [] : [{ where: 'status', is: String(a.status), instead: String(b.status) }];
  const body = bodyDifferences(Buffer.from(a.body), Buffer.from(b.body));
  return [...status, ...headerDifferences(a.headers, b.headers), ...body];
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
