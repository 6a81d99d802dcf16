/** A request as Node gives it to the front door, from bytes: what of it the front door looks at. */
import type { IncomingMessage } from 'node:http';

/** Node's own parser lets these through in a header's value. */
// oxlint-disable-next-line no-control-regex
const NOT_IN_VALUES = /[^\t\x20-\x7e\x80-\xff]/g;
const NOT_IN_NAMES = /[^!#$%&'*+\-.^_`|~\w]/g;

/** Lines: method, target, then `name:value`. */
export function messageOf(input: Buffer): IncomingMessage {
  const [method = '', url = '', ...lines] = input.toString('latin1').split('\n');
  const rawHeaders: string[] = [];
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon < 1) continue;
    const name = line.slice(0, colon).replace(NOT_IN_NAMES, '');
    const value = line.slice(colon + 1).replace(NOT_IN_VALUES, '');
    if (name === '') continue;
    rawHeaders.push(name, value);
    const lower = name.toLowerCase();
    // Node joins some, and keeps the first of others.
    if (lower === 'host' || lower === 'authorization') headers[lower] ??= value;
    else headers[lower] = headers[lower] === undefined ? value : `${headers[lower]}, ${value}`;
  }
  const socket = { remoteAddress: '192.0.2.1', localAddress: '127.0.0.1', localPort: 8080 };
  const message = { method: method.replace(NOT_IN_NAMES, '').slice(0, 20), url, headers, rawHeaders, socket };
  return message as unknown as IncomingMessage;
}
