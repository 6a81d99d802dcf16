/**
 * Where two bodies differ: the JSON path of each field when both are JSON, else the first line of a text, else the
 * first byte.
 */
import {
  bytesDifference,
  type Difference,
  firstDifferent,
  LISTED_MAX,
  NOTHING,
  shortened,
  shortenedBoth,
} from './difference.ts';

/** What is nested deeper is compared as a whole. */
const DEPTH_MAX = 64;
/** Of both: of empty objects, JSON takes twenty times its size once it is parsed. Longer ones are compared as text. */
const JSON_BYTES_MAX = 8 * 1024 ** 2;

export function bodyDifferences(is: Buffer, instead: Buffer): Difference[] {
  if (is.equals(instead)) return [];
  if (is.length + instead.length > JSON_BYTES_MAX) return [textDifference(is, instead)];
  const a = parsed(is);
  const b = parsed(instead);
  const fields: Difference[] = [];
  if (a !== undefined && b !== undefined) compare('$', a.value, b.value, 0, fields);
  // Equal as JSON, and yet not the same bytes: spaces, the order of keys.
  return fields.length > 0 ? fields : [textDifference(is, instead)];
}

function parsed(body: Buffer): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(body.toString()) as unknown };
  } catch {
    return undefined;
  }
}

function compare(path: string, a: unknown, b: unknown, depth: number, found: Difference[]): void {
  if (found.length > LISTED_MAX || Object.is(a, b)) return;
  const both = isObject(a) && isObject(b) && Array.isArray(a) === Array.isArray(b);
  if (!both || depth === DEPTH_MAX) {
    const is = written(a);
    const instead = written(b);
    if (is !== instead) found.push({ where: `body ${path}`, ...shortenedBoth(is, instead) });
    return;
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    // The names of all its places would take more room than the array.
    for (let at = 0; at < Math.max(a.length, b.length) && found.length <= LISTED_MAX; at++)
      compare(shortened(`${path}[${at}]`), a[at], b[at], depth + 1, found);
    return;
  }
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const step = /^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
    compare(shortened(path + step), own(a, key), own(b, key), depth + 1, found);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function own(value: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(value, key) ? value[key] : undefined;
}

function written(value: unknown): string {
  return value === undefined ? NOTHING : JSON.stringify(value);
}

function textDifference(is: Buffer, instead: Buffer): Difference {
  if (!isText(is) || !isText(instead)) return bytesDifference('body', is, instead);
  const at = firstDifferent(is, instead);
  const start = is.subarray(0, at).lastIndexOf(0x0a) + 1;
  let line = 1;
  for (let i = 0; i < start; i++) if (is[i] === 0x0a) line++;
  const text = (body: Buffer): string => {
    const end = body.indexOf(0x0a, start);
    return body.toString('utf8', start, end === -1 ? body.length : end);
  };
  const shown = shortenedBoth(text(is), text(instead));
  return {
    where: `body line ${line}, byte ${at}`,
    is: JSON.stringify(shown.is),
    instead: JSON.stringify(shown.instead),
  };
}

function isText(body: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(body);
    return !body.includes(0);
  } catch {
    return false;
  }
}
