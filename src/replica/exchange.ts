/**
 * HTTP between the agent and the service: one request, one reply, over a kept connection.
 *
 * Y1. A connection is used again only once the service has said that it keeps it, or one was seen to stay open. Some close it
 *     without a word, which a client with a connection of its own does not notice; what is sent meanwhile is lost, in one copy and
 *     not in another.
 *     Nor is one that has been idle for too long: where this process stood still, its timers tell of that too late.
 * Y2. One on which a body was sent is used again only if the service says that it keeps it: those that do not say so may not have
 *     read it, and take it for the next client's request.
 * Y3. A service may answer before it has read all of a body, and close: the reply counts, whether or not the rest could be sent.
 */
import { once } from 'node:events';
import { type AddressInfo, Socket } from 'node:net';
import type { Dispatcher } from 'undici';
import Client from 'undici/lib/dispatcher/client.js';
import { createServer } from '../node-http.ts';
import { asBuffer } from '../wire/bytes.ts';
import { decodeRequest, encodeReply, encodeRequest } from '../wire/http.ts';
import { endToEndHeaders, type HttpReply, type HttpRequest } from '../wire/http.ts';
import { refusal } from './refusal.ts';

/** Not much longer than `SEEN_KEPT_MS`: a service that serves one connection at a time serves no other until this one is closed. */
const KEEP_ALIVE_MS = 200;
/** Idle, after a reply. */
const SEEN_KEPT_MS = 100;

/** For Y3: that nobody takes what is written is said only by what is read, a reply or an end. */
class HearingSocket extends Socket {
  override _write(chunk: unknown, encoding: BufferEncoding, written: Written): void {
    super._write(chunk, encoding, unlessClosed(written));
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], written: Written): void {
    super._writev?.(chunks, unlessClosed(written));
  }
}

type Written = (error?: NodeJS.ErrnoException | null) => void;

function unlessClosed(written: Written): Written {
  return (error) => written(error?.code === 'EPIPE' || error?.code === 'ECONNRESET' ? null : error);
}

export class Exchange {
  readonly #port: number;
  readonly #replyBytesMax: number;
  #client: Client;
  /** That of the client, while it is open. */
  #connection: symbol | null = null;
  /** How it is known that the service keeps it open. */
  #keeps: 'said' | 'seen' | null = null;
  /** When the last reply came on it. */
  #idleFromMs = 0;

  constructor(port: number, replyBytesMax: number) {
    this.#port = port;
    this.#replyBytesMax = replyBytesMax;
    this.#client = this.#keepingClient();
  }

  #keepingClient(): Client {
    const client = this.#newClient();
    client.on('connect', () => (this.#connection = Symbol()));
    client.on('disconnect', (_origin, _targets, error) => {
      if (client !== this.#client) return;
      this.#connection = null;
      // Undici's own reasons have this code, such as that nothing was asked for too long.
      if (error.code !== 'UND_ERR_INFO') this.#keeps = null;
    });
    return client;
  }

  #newClient(): Client {
    return new Client(`http://127.0.0.1:${this.#port}`, {
      pipelining: 1,
      // The manager keeps the time: a request that takes too long ends the replica from outside.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: (_options, done) => {
        const socket = new HearingSocket().connect(this.#port, '127.0.0.1').setNoDelay(true);
        const failed = (error: Error): void => done(error, null);
        socket.once('error', failed).once('connect', () => done(null, socket.off('error', failed)));
      },
      // Reusing a connection that the service is about to close would lose a request. Most keep it for 5 s and say so; where
      // all is slow, as in an emulated machine, much earlier is safer. A shorter time that the service names is heeded.
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
    });
  }

  /** Throws when the connection broke. */
  async ask(request: HttpRequest): Promise<HttpReply> {
    if (this.#connection !== null && performance.now() - this.#idleFromMs > KEEP_ALIVE_MS) this.#useNoMore();
    if (this.#connection !== null && this.#keeps === null) {
      const other = this.#newClient();
      return await this.#exchange(other, request).finally(() => other.destroy());
    }
    const reply = await this.#exchange(this.#client, request);
    this.#idleFromMs = performance.now();
    if (this.#keeps === 'said') return reply;
    if (request.body.length > 0) this.#useNoMore();
    else if (this.#keeps === null) this.#seeWhetherItStays(this.#connection);
    return reply;
  }

  #seeWhetherItStays(connection: symbol | null): void {
    if (connection === null) return;
    const see = (): void => {
      if (connection === this.#connection) this.#keeps ??= 'seen';
    };
    // In halves: where all stood still, one may be over before the service has gone on.
    const afterHalf = (then: () => void): void => void setTimeout(then, SEEN_KEPT_MS / 2).unref();
    afterHalf(() => afterHalf(see));
  }

  #useNoMore(): void {
    const used = this.#client;
    this.#client = this.#keepingClient();
    this.#connection = null;
    void used.destroy();
  }

  #exchange(client: Client, request: HttpRequest): Promise<HttpReply> {
    const replyBytesMax = this.#replyBytesMax;
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let status = 0;
      let headers: string[] = [];
      let size = 0;
      const handler: Dispatcher.DispatchHandler = {
        onRequestStart: () => {},
        onResponseStart: (controller, statusCode) => {
          if (statusCode < 200) return;
          status = statusCode;
          const raw = (controller.rawHeaders as Buffer[]).map((part) => part.toString('latin1'));
          // Nobody asked for it, and a client that was not told of it would take what is coded for the body.
          if (isCoded(raw)) return controller.abort(new Error('another transfer coding than chunked'));
          headers = endToEndHeaders(raw, request.method === 'HEAD');
          if (this.#keeps !== 'said' && saysItKeeps(raw)) this.#keeps = 'said';
        },
        onResponseData: (controller, chunk) => {
          size += chunk.length;
          if (size > replyBytesMax) controller.abort(new Error('reply too large'));
          else chunks.push(chunk);
        },
        onResponseEnd: () => {
          const [only] = chunks;
          const body = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
          resolve({ status, headers, body });
        },
        onResponseError: (_controller, error) => {
          if (size <= replyBytesMax) reject(error);
          else resolve(refusal(502, `The service's reply is larger than ${replyBytesMax} bytes.\n`));
        },
      };
      const { method, target, body } = request;
      client.dispatch(
        {
          method,
          path: target,
          headers: request.headers as string[],
          body: body.length === 0 ? null : asBuffer(body),
        },
        handler,
      );
    });
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}

function saysItKeeps(raw: readonly string[]): boolean {
  return some(raw, /^connection$/i, /\bkeep-alive\b/i);
}

function isCoded(raw: readonly string[]): boolean {
  return some(raw, /^transfer-encoding$/i, /^(?!(chunked|identity)$)/i);
}

function some(raw: readonly string[], name: RegExp, value: RegExp): boolean {
  return raw.some((part, i) => i % 2 === 0 && name.test(part) && value.test(raw[i + 1] ?? ''));
}

/** All that is made at the first use is there, and the slowest of compiling is over; more was not seen to make the first entries quicker. */
const WARM_UP_REQUESTS = 10;

/**
 * Takes a few requests through all of this to a server of the agent's own. A replica that is woken is waited for, and
 * would otherwise spend its first milliseconds on compiling.
 */
export async function warmUp(): Promise<void> {
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => response.end('{}'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const exchange = new Exchange((server.address() as AddressInfo).port, 1024);
  const request = encodeRequest({
    method: 'POST',
    target: '/',
    headers: ['host', 'warm-up', 'content-type', 'application/json'],
    body: Buffer.from('{}'),
  });
  for (let i = 0; i < WARM_UP_REQUESTS; i++) encodeReply(await exchange.ask(decodeRequest(request)));
  await exchange.close();
  server.close();
}
