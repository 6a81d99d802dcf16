/**
 * The admin API: what the group is doing, for operators and their tools, and what they may ask of it.
 *
 * `GET /status`, `GET /incidents`, `GET /incidents/:id` (with its evidence), `GET /livez` (the manager runs), `GET /readyz` (the
 * group answers requests); `POST /replicas/:id/recover` (a clean replica takes its place; answered when it has), `POST /deploy`
 * (what is on disk and in the configuration now takes over; answered when it has), `POST /backup` (answers where in the data
 * folder it lies, and is given up where nobody waits for that any more); `GET /replicas/:id/console` (what it printed last). What
 * changes something, and what a service printed, needs the token of the data folder (`access.ts`).
 *
 * A1. Of each connection one request is in work; one that sends more ahead is closed.
 * A2. Who reads shuts nobody out: of the reads of those who show no token fewer wait than there may be connections.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { MadeBackup } from '../backup/make.ts';
import { limitConnections } from '../connections.ts';
import type { CoreView } from '../core/index.ts';
import { type ErrorCode, messageOf, SpareError } from '../errors.ts';
import type { Incident } from '../evidence/incidents.ts';
import type { CaseView } from '../evidence/read.ts';
import type { Rotated } from '../manager/rejuvenation.ts';
import { createServer } from '../node-http.ts';
import { isAllowed, namesHost, RUN_HEADER, runOf } from './access.ts';
import { Turns } from './turns.ts';

export interface ReplicaStatus {
  readonly id: string;
  readonly variant: number;
  readonly role: 'active' | 'passive';
  readonly state: 'starting' | 'running' | 'suspended';
  /** The last entry that is in its state. */
  readonly applied: number;
  /** As seen from the host; null while its domain starts. */
  readonly pid: number | null;
  readonly isolation: string;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly processes: number;
  /** Since its domain was started. */
  readonly ageSeconds: number;
  /** Whether what its service read when it started has changed since, as of its last refresh. */
  readonly outdated: boolean;
}

export interface Status {
  readonly faults: number;
  /** Digest of what replicas start from, as `spare deploy` shortens it; of a new version once that has taken over. */
  readonly image: string | null;
  readonly ordered: number;
  readonly decided: number;
  readonly replicas: readonly ReplicaStatus[];
  readonly updateLog: CoreView['updateLog'];
  /** All that there ever were. */
  readonly incidents: number;
  /** Replicas that were replaced though nothing was wrong with them, since the start; the one that is just being replaced. */
  readonly rotations: { readonly done: number; readonly underWay: string | null };
}

export interface AdminSource {
  readonly status: () => Promise<Status>;
  readonly incidents: () => readonly Incident[];
  /** Null when there is none with that number. */
  readonly incident: (id: number) => Promise<CaseView | null>;
  readonly ready: () => boolean;
  /** The last that a replica's processes printed, safe for a terminal. Throws `replica-unknown`, `group-not-whole`. */
  readonly console: (replica: string) => string;
  /** Throws a `SpareError` when it cannot be done now. */
  readonly recover: (replica: string) => Promise<Rotated>;
  /** Throws a `SpareError` when it cannot be, or did not take over. */
  readonly deploy: () => Promise<unknown>;
  /** `unwanted` once who asked has left. Throws a `SpareError` when it cannot be made now. */
  readonly backup: (unwanted: AbortSignal) => Promise<MadeBackup>;
}

interface AdminReply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** `id`: in the path, where there is one; `left`: aborted once the client is gone. */
type Handler = (source: AdminSource, id: string, left: AbortSignal) => Promise<AdminReply> | AdminReply;

function done(body: unknown): AdminReply {
  return { status: 200, body };
}

const READS: Readonly<Record<string, Handler>> = {
  '/status': async (source) => done(await source.status()),
  '/incidents': (source) => done(source.incidents()),
  '/incidents/:id': async (source, id) => {
    const found = /^\d{1,15}$/.test(id) ? await source.incident(Number(id)) : null;
    if (found !== null) return done(found);
    return { status: 404, body: { error: `There is no incident ${id} (any more); see /incidents.` } };
  },
  '/livez': () => done({ live: true }),
  '/readyz': (source) => ({ status: source.ready() ? 200 : 503, body: { ready: source.ready() } }),
};

/** With the token: a service may print what is its clients' own. */
const SECRETS: Readonly<Record<string, Handler>> = {
  '/replicas/:id/console': (source, id) => done({ replica: id, console: source.console(id) }),
};

const CHANGES: Readonly<Record<string, Handler>> = {
  '/replicas/:id/recover': async (source, id) => done(await source.recover(id)),
  '/deploy': async (source) => done(await source.deploy()),
  '/backup': async (source, _, left) => done(await source.backup(left)),
};

interface Route {
  readonly path: string;
  readonly pattern: RegExp;
  readonly methods: readonly string[];
  /** To those without the token, too. */
  readonly isOpen: boolean;
  readonly handler: Handler;
}

const READING = ['GET', 'HEAD'];
const ROUTES: readonly Route[] = [
  ...routes(READS, READING, true),
  ...routes(SECRETS, READING, false),
  ...routes(CHANGES, ['POST'], false),
];
const CONNECTIONS_MAX = 32;
/** Reads of anybody. Fewer than connections: where all of these had something in work, none would be left for who comes then. */
const WAITING_MAX = 24;
const TOKEN_HINT = 'Send `Authorization: Bearer …` with the token of admin.json in the data folder.';

const HOST_TEXT =
  'Ask by the address, as `localhost`, or by the name in `--admin`: any other may be one that led a web page here.';

const BUSY: AdminReply = {
  status: 503,
  body: { error: 'Too many ask at once.', hint: TOKEN_HINT },
  headers: { 'retry-after': '1' },
};

/** What the caller can do something about; all else is a failure of ours. */
const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  'replica-unknown': 404,
  'rotation-under-way': 409,
  'group-not-whole': 409,
  'deploy-under-way': 409,
  'deploy-refused': 409,
  'image-changed': 409,
  'image-unreadable': 409,
  'backup-under-way': 409,
};

/** Reads that cost nothing, and on whose answer it may depend whether Spare is ended. */
const PROBES: ReadonlySet<string> = new Set(['/livez', '/readyz']);

function routes(
  handlers: Readonly<Record<string, Handler>>,
  methods: readonly string[],
  isOpen: boolean,
): Route[] {
  return Object.entries(handlers).map(([path, handler]) => {
    const pattern = new RegExp(`^${path.replace(':id', '([^/]+)')}$`);
    return { path, pattern, methods, isOpen, handler };
  });
}

function pathOf({ url = '/' }: IncomingMessage): string {
  return url.replace(/\?.*$/, '');
}

/** The known path that it is, and its `:id`. */
function routeOf(path: string): { readonly route: Route; readonly id: string } | null {
  for (const route of ROUTES) {
    const match = route.pattern.exec(path);
    if (match !== null) return { route, id: match[1] ?? '' };
  }
  return null;
}

function failed(error: unknown): AdminReply {
  if (!(error instanceof SpareError)) return { status: 500, body: { error: messageOf(error) } };
  const { code, message, hint } = error;
  return { status: STATUS_OF[code] ?? 500, body: { error: message, code, hint } };
}

async function answer(
  source: AdminSource,
  token: string,
  host: string,
  request: IncomingMessage,
  left: AbortSignal,
): Promise<AdminReply> {
  if (!namesHost(request.headers.host, host)) return { status: 421, body: { error: HOST_TEXT } };
  const path = pathOf(request);
  const found = routeOf(path);
  if (found === null)
    return {
      status: 404,
      body: { error: `There is no ${path}; see ${ROUTES.map((route) => route.path).join(', ')}.` },
    };
  const { methods, isOpen, handler } = found.route;
  const allow = methods.join(', ');
  if (!methods.includes(request.method ?? ''))
    return { status: 405, body: { error: `Only ${allow}.` }, headers: { allow } };
  if (isOpen || isAllowed(request.headers.authorization, token)) return await handler(source, found.id, left);
  return { status: 401, body: { error: 'Not allowed.', hint: TOKEN_HINT } };
}

/** `host`: what it will listen on. */
export function createAdmin(source: AdminSource, token: string, host: string): Server {
  const run = runOf(token);
  const turns = new Turns(WAITING_MAX);
  const server = createServer((request, response) => {
    const send = ({ status, body, headers = {} }: AdminReply): void => {
      const text = `${JSON.stringify(body, null, 2)}\n`;
      response.writeHead(status, {
        ...headers,
        [RUN_HEADER]: run,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
      });
      response.end(request.method === 'HEAD' ? undefined : text);
    };
    // Behind another one of its connection: as many as a client likes would be kept until that is answered.
    if (response.socket === null) return void request.socket.destroy();
    request.resume();
    const left = new AbortController();
    response.once('close', () => left.abort());
    const give = (): Promise<void> =>
      answer(source, token, host, request, left.signal).then(send, (error: unknown) => send(failed(error)));
    if (request.method === 'POST' || PROBES.has(pathOf(request))) void give();
    else if (turns.full && !isAllowed(request.headers.authorization, token)) send(BUSY);
    else turns.take(response, give);
  });
  limitConnections(server, CONNECTIONS_MAX);
  return server;
}
