/**
 * What of a client's request is ordered: method, target, headers and body, so that it means the same to each replica.
 *
 * Q1. A replica learns nothing from its own connection that another one would learn otherwise: the `Host` that the
 *     client asked for, and its address, are written into the request.
 */
import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import type { Key } from '../core/index.ts';
import { endToEndHeaders, HEADERS_MAX } from '../wire/http.ts';

const KEY_LENGTH_MAX = 255;
/** `Host` and `X-Forwarded-For` may be added. */
const ADDED_MAX = 4;
/** Written anew, or handled by Node: the service's connection is the agent's. */
const NOT_FORWARDED = new Set(['expect', 'host', 'x-forwarded-for']);

/** Whether a replica takes this many headers. */
export function tooManyHeaders(request: IncomingMessage): boolean {
  return request.rawHeaders.length > HEADERS_MAX - ADDED_MAX;
}

/** Whether it is unclear which host is meant (RFC 9112, 3.2). */
export function severalHosts({ rawHeaders }: IncomingMessage): boolean {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]?.toLowerCase() === 'host') hosts++;
  return hosts > 1;
}

/** Of the absolute form: what names the host. */
const AUTHORITY = /^https?:\/\/([^/?#]*)/i;

/** Whether the target is neither a path nor of the absolute form of a scheme that is served here. */
export function unusableTarget({ url = '' }: IncomingMessage): boolean {
  return !url.startsWith('/') && !AUTHORITY.test(url);
}

/** Whether no host is named, or what names the host is more than that, such as a user (RFC 9110, 4.2.4; RFC 9112, 3.2). */
export function unusableHost({ url = '', headers, httpVersion }: IncomingMessage): boolean {
  if (headers.host === undefined && httpVersion === '1.1') return true;
  const [, named] = AUTHORITY.exec(url) ?? [];
  return (named !== undefined && /^(:|$)/.test(named)) || /[@/?#\s]/.test(named ?? headers.host ?? '');
}

export interface Target {
  /** Path and query. */
  readonly target: string;
  readonly host: string;
}

/** Also of the absolute form, whose host goes before the header's (RFC 9112, 3.2.2). */
export function targetOf(request: IncomingMessage): Target {
  const { url = '/', headers } = request;
  const [authority = '', named] = AUTHORITY.exec(url) ?? [];
  const target = url.slice(authority.length);
  const host = named ?? headers.host ?? localAddress(request);
  return { target: target.startsWith('/') ? target : `/${target}`, host };
}

/** A client of HTTP/1.0 need not name a host. */
function localAddress({ socket: { localAddress: address = '', localPort = 80 } }: IncomingMessage): string {
  return `${isIPv6(address) ? `[${address}]` : address}:${localPort}`;
}

export function forwardedHeaders(request: IncomingMessage, host: string): string[] {
  const headers = endToEndHeaders(request.rawHeaders);
  const kept: string[] = ['host', host];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (!NOT_FORWARDED.has(name.toLowerCase())) kept.push(name, headers[i + 1] ?? '');
  }
  const before = request.headers['x-forwarded-for'];
  const client = request.socket.remoteAddress ?? 'unknown';
  kept.push('x-forwarded-for', before === undefined ? client : `${String(before)}, ${client}`);
  return kept;
}

/**
 * The request's name for itself, null if it has none or needs none, `undefined` when the name is not usable. The
 * fingerprint tells another request under the same name: another method, target, body, or user: who that is, a service takes
 * from the authorization or from a cookie.
 */
export function keyOf(request: IncomingMessage, target: string, body: Buffer): Key | null | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined || request.method === 'GET' || request.method === 'HEAD') return null;
  if (typeof key !== 'string' || key.length > KEY_LENGTH_MAX || !/^[\x20-\x7e]+$/.test(key)) return undefined;
  const user = `${request.headers.authorization ?? ''}\n${request.headers.cookie ?? ''}`;
  const head = `${request.method} ${target}\n${user}\n`;
  return { key, fingerprint: hash('sha256', Buffer.concat([Buffer.from(head), body]), 'base64') };
}
