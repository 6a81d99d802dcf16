/** For the front door's tests: a real server over a small backend, and a client that sees every byte. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Key } from '../core/index.ts';
import type { Verdict } from '../manager/in-work.ts';
import { decodeRequest, encodeReply, type HttpReply, type HttpRequest } from '../wire/http.ts';
import { createFront, type FrontOptions } from './front.ts';

/** 2026-01-02T03:04:05Z: long before any test runs. */
export const TIME_MS: number = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

export const HOST = 'Host: spare.test\r\n';
export const CLOSE: string = `${HOST}Connection: close\r\n`;
/** A service that answers at once, and says nothing. */
export const NOTHING = (): { status: number } => ({ status: 200 });
/** Far more than any buffer between the two holds. */
export const FLOOD: Buffer = Buffer.alloc(16 * 1024 ** 2, 'x');

export interface Ordered {
  readonly key: Key | null;
  readonly request: HttpRequest;
  readonly done: (verdict: Verdict) => void;
}

const PATIENCE_MS = 60_000;

type Service = (request: HttpRequest) => Partial<HttpReply> | Exclude<Verdict, { type: 'reply' }> | 'wait';

export interface Front extends AsyncDisposable {
  readonly port: number;
  /** What reached the backend, oldest first. */
  readonly ordered: readonly Ordered[];
  ready: boolean;
  /** Resolves once that many requests reached the backend. */
  reached(count: number): Promise<void>;
  /** Resolves once a request to this target was taken in, or refused. */
  asked(target: string): Promise<void>;
  /** Resolves once so many connections are left. */
  left(count: number): Promise<void>;
}

export function replyVerdict(reply: Partial<HttpReply>): Verdict {
  const { status = 200, headers = [], body = new Uint8Array(0) } = reply;
  return { type: 'reply', bytes: encodeReply({ status, headers, body }), timeMs: TIME_MS };
}

const OPTIONS: FrontOptions = {
  bodyBytesMax: 64 * 1024,
  unreadBytesMax: 1024 ** 2,
  admission: { inFlight: 8, inFlightBytes: 1024 ** 2, waiting: 8, waitingBytes: 1024 ** 2 },
};

/** `service` answers at once, or says `wait`: then the test calls `done` itself. */
export async function startFront(service: Service, options: Partial<FrontOptions> = {}): Promise<Front> {
  const ordered: Ordered[] = [];
  let ready = true;
  const server = createFront(
    { ...OPTIONS, ...options },
    {
      ready: () => ready,
      submit: (key, bytes, done) => {
        const request = decodeRequest(Buffer.from(bytes));
        ordered.push({ key, request, done });
        const answer = service(request);
        if (answer !== 'wait') setImmediate(done, 'type' in answer ? answer : replyVerdict(answer));
      },
    },
  );
  const asked = new Set<string | undefined>();
  server.on('request', ({ url }) => asked.add(url));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    ordered,
    get ready() {
      return ready;
    },
    set ready(value) {
      ready = value;
    },
    async reached(count) {
      await wait(() => ordered.length >= count);
    },
    async asked(target) {
      await wait(() => asked.has(target));
    },
    async left(count) {
      const connections = promisify(server.getConnections.bind(server));
      await wait(async () => (await connections()) === count);
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function wait(check: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`nothing within ${PATIENCE_MS} ms`);
    await delay(1);
  }
}

/** A raw connection; what comes is kept as latin1 text. */
export class Wire implements Disposable {
  readonly socket: Socket;
  received = '';
  #ended = false;
  error: string | null = null;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('data', (chunk: Buffer) => (this.received += chunk.toString('latin1')));
    this.socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code ?? error.message));
    this.socket.on('close', () => (this.#ended = true));
  }

  send(text: string | Buffer): this {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
    return this;
  }

  /** Everything received once `pattern` is in it. */
  async until(pattern: RegExp): Promise<string> {
    await wait(() => {
      if (pattern.test(this.received)) return true;
      if (this.#ended) throw new Error(`closed (${this.error}) without ${pattern}: ${this.received}`);
      return false;
    });
    return this.received;
  }

  /** Everything received when the front door has closed the connection. */
  async end(): Promise<string> {
    await wait(() => this.#ended);
    return this.received;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Sends one request and reads to the end of the connection. */
export async function exchange(port: number, text: string | Buffer): Promise<string> {
  using wire = new Wire(port);
  return await wire.send(text).end();
}

/** Values of a header in a raw reply. */
export function valuesOf(reply: string, name: string): string[] {
  const head = reply.slice(0, reply.indexOf('\r\n\r\n') + 2);
  return [...head.matchAll(new RegExp(`^${name}: (.*)\\r$`, 'gim'))].map((match) => match[1] ?? '');
}

export function bodyOf(reply: string): string {
  return reply.slice(reply.indexOf('\r\n\r\n') + 4);
}

export function statusOf(reply: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(reply)?.[1]);
}
