/**
 * The front door: plain HTTP/1.1 in, ordered requests to the manager, agreed replies out.
 *
 * HTTP itself (parsing, keep-alive, chunked bodies, pipelining, header limits) is Node's.
 *
 * H1. A request is handed on once it has come whole; a client that leaves before that leaves no trace.
 * H2. A client gets the agreed reply, or a plain-text error that says why there is none; never something else.
 * H3. Bodies, also those that have not come whole, waiting requests, those that wait behind others of their connection, replies
 *     that are not taken, and connections are bounded.
 * H4. Of each connection one request at a time is in work or waits: one that sends many ahead keeps nobody out.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { limitConnections, whenItsTurn } from '../connections.ts';
import type { Key } from '../core/index.ts';
import type { Verdict } from '../manager/in-work.ts';
import { createServer } from '../node-http.ts';
import { encodeRequest } from '../wire/http.ts';
import { Admission, type AdmissionLimits, type Ticket } from './admission.ts';
import { Behind } from './behind.ts';
import { bodyLimitText, Coming } from './coming.ts';
import { refuse } from './refuse.ts';
import {
  forwardedHeaders,
  keyOf,
  severalHosts,
  targetOf,
  tooManyHeaders,
  unusableHost,
  unusableTarget,
} from './request.ts';
import { respond } from './respond.ts';
import { refuseUnreadable } from './unreadable.ts';
import { Unread } from './unread.ts';

export interface FrontOptions {
  readonly admission: AdmissionLimits;
  readonly bodyBytesMax: number;
  /** Of replies that clients have not taken yet. */
  readonly unreadBytesMax: number;
}

/** Where requests go; `done` is called once. */
export interface Backend {
  /** Whether the group can take requests. */
  readonly ready: () => boolean;
  readonly submit: (key: Key | null, request: Uint8Array, done: (verdict: Verdict) => void) => void;
}

const KEEP_ALIVE_MS = 30_000;
const CONNECTIONS_MAX = 10_000;
/** Of the descriptors that the process may have: the others are for the files and domains of the manager. */
const CONNECTIONS_SHARE = 1 / 2;

const KEY_TEXT = 'The Idempotency-Key is not usable: 1 to 255 printable ASCII characters.';

const EXPECTATION_TEXT = 'Nothing can be expected here but 100-continue.';

export function createFront(options: FrontOptions, backend: Backend): Server {
  const admission = new Admission(options.admission);
  const { inFlightBytes, waitingBytes } = options.admission;
  // As much as may come, as may be in work and wait once it has come.
  const coming = new Coming(inFlightBytes + waitingBytes, options.bodyBytesMax);
  const unread = new Unread(options.unreadBytesMax);
  const behind = new Behind();
  const take = (response: ServerResponse): void =>
    coming.take(response, (body) =>
      behind.wait(response, body.buffer.byteLength, () =>
        forward(admission, backend, unread, response, body),
      ),
    );
  /** Whether it is to be read. */
  const admit = (response: ServerResponse): boolean => {
    const { req: request } = response;
    behind.add(response);
    // What came in one piece is parsed to its end all the same.
    if (request.socket.destroyed) return false;
    const refused = refusal(request, options, backend);
    if (refused !== null) refuse(response, ...refused);
    return refused === null;
  };
  // What Node refuses by itself is held by nobody where it is behind another one.
  const settings = { keepAliveTimeout: KEEP_ALIVE_MS, requireHostHeader: false };
  const server = createServer(settings, (_, response) => {
    if (admit(response)) take(response);
  });
  limitConnections(server, Math.min(CONNECTIONS_MAX, Math.floor(CONNECTIONS_SHARE * descriptorsMax())));
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (!admit(response)) return;
    // When it is its turn it may have come whole, or be refused, and Node would send the head of that first.
    whenItsTurn(response, () => response.headersSent || request.complete || response.writeContinue());
    take(response);
  });
  server.on('checkExpectation', (_: IncomingMessage, response: ServerResponse) => {
    if (admit(response)) refuse(response, 417, EXPECTATION_TEXT);
  });
  refuseUnreadable(server);
  return server;
}

/** How many files and connections the process may have open. */
function descriptorsMax(): number {
  const report = process.report.getReport() as { userLimits: { open_files: { soft: number | 'unlimited' } } };
  const { soft } = report.userLimits.open_files;
  return soft === 'unlimited' ? Infinity : soft;
}

/** Status and text for what is not even read. */
function refusal(request: IncomingMessage, options: FrontOptions, backend: Backend): [number, string] | null {
  const { upgrade, 'content-length': length, 'transfer-encoding': coding = '' } = request.headers;
  // Of all others nobody hears, as of HTTP/2 or TLS: a client that offers them goes on without (RFC 9110, 7.8).
  if (upgrade !== undefined && /\bwebsocket\b/i.test(upgrade)) {
    return [501, `Upgrading the connection (to ${JSON.stringify(upgrade)}) is not supported.`];
  }
  // Node takes off the last one only, and no replica would know of those before it. What does not end with that, Node refuses.
  if (/,\s*chunked$/i.test(coding)) {
    return [501, `The transfer coding ${JSON.stringify(coding)} is not supported, only "chunked" is.`];
  }
  if (request.url === '*') return [501, 'The request target * is not supported.'];
  if (unusableTarget(request)) return [400, 'The request target is neither a path nor an http URL.'];
  if (severalHosts(request)) return [400, 'The request names several hosts.'];
  if (unusableHost(request)) return [400, 'The request names no host, or more than a host, such as a user.'];
  if (tooManyHeaders(request)) return [431, 'The request has too many headers.'];
  if (Number(length ?? 0) > options.bodyBytesMax) return [413, bodyLimitText(options.bodyBytesMax)];
  if (!backend.ready()) return [503, 'The service is starting.'];
  return null;
}

function forward(
  admission: Admission,
  backend: Backend,
  unread: Unread,
  response: ServerResponse,
  body: Buffer,
): void {
  const { req: request } = response;
  const { target, host } = targetOf(request);
  const key = keyOf(request, target, body);
  if (key === undefined) return refuse(response, 400, KEY_TEXT);
  const method = request.method ?? 'GET';
  const encoded = encodeRequest({ method, target, headers: forwardedHeaders(request, host), body });
  const ticket: Ticket = {
    bytes: encoded.length,
    run: () =>
      backend.submit(key, encoded, (verdict) => {
        admission.leave(ticket);
        if (!response.destroyed) respond(unread, response, verdict);
      }),
  };
  response.once('close', () => admission.abandon(ticket));
  if (!admission.enter(ticket)) refuse(response, 503, 'Too many requests are waiting.');
}
