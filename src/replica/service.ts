/**
 * The service as the agent drives it: started once, asked one request at a time over its loopback port.
 *
 * V1. One request is in flight at a time, so that clock, randomness and state changes belong to one entry.
 * V2. What the service answers is passed on in one canonical encoding; a service that closes the connection
 *     without answering, while it lives on, gave the reply 502.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, type Dispatcher } from 'undici';
import { endToEndHeaders, type HttpReply, type HttpRequest } from '../wire/http.ts';

const POLL_MS = 5;
/** A service that migrates its database after it listens gets this long to finish. */
const SETTLE_MS = 50;
/** After a broken connection: how long its process may take to be seen as ended. */
const EXIT_GRACE_MS = 100;
const OWN_RESPONSE_HEADERS = { 'content-type': 'text/plain' } as const;

export interface ServiceOptions {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly replyBytesMax: number;
}

function refusal(status: number, text: string): HttpReply {
  return { status, headers: Object.entries(OWN_RESPONSE_HEADERS).flat(), body: Buffer.from(text) };
}

export class Service {
  readonly #options: ServiceOptions;
  readonly #process: ChildProcess;
  readonly #client: Client;
  #ended: string | null = null;

  private constructor(options: ServiceOptions, child: ChildProcess) {
    this.#options = options;
    this.#process = child;
    this.#client = new Client(`http://127.0.0.1:${options.port}`, {
      pipelining: 1,
      // The manager keeps the time: a request that takes too long ends the replica from outside.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: 0 },
      // Reusing a connection that the service is about to close would lose a request; its own hint is heeded.
      keepAliveTimeout: 1000,
    });
    child.once('error', (error) => (this.#ended = error.message));
    child.once(
      'exit',
      (code, signal) => (this.#ended ??= signal === null ? `exit status ${code}` : `killed by ${signal}`),
    );
  }

  /** Resolves when the service listens. Throws an Error that says why it does not. */
  static async start(options: ServiceOptions, onEnd: (why: string) => void): Promise<Service> {
    const [command = '', ...args] = options.command;
    const child = spawn(command, args, {
      cwd: options.folder,
      env: { ...options.env, PORT: String(options.port) },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const service = new Service(options, child);
    await service.#listening();
    child.once('exit', () => onEnd(service.#ended ?? 'ended'));
    await delay(SETTLE_MS);
    return service;
  }

  async #listening(): Promise<void> {
    const { command, port, timeoutMs } = this.#options;
    const name = command.join(' ');
    const until = process.hrtime.bigint() + BigInt(timeoutMs) * 1_000_000n;
    while (!(await this.#reachable())) {
      if (this.#ended !== null)
        throw new Error(`The service ended before it listened: \`${name}\`: ${this.#ended}.`);
      if (process.hrtime.bigint() > until) {
        throw new Error(
          `The service did not listen on port ${port} ($PORT) within ${timeoutMs / 1000} s: \`${name}\`.`,
        );
      }
      await delay(POLL_MS);
    }
  }

  #reachable(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.#options.port, '127.0.0.1');
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
  }

  /** Throws when the service ended. */
  async ask(request: HttpRequest): Promise<HttpReply> {
    try {
      return await this.#dispatch(request);
    } catch {
      await delay(EXIT_GRACE_MS);
      if (this.#ended !== null) throw new Error(`The service ended: ${this.#ended}.`);
      return refusal(502, 'The service closed the connection without a reply.\n');
    }
  }

  #dispatch(request: HttpRequest): Promise<HttpReply> {
    const { replyBytesMax } = this.#options;
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
          headers = endToEndHeaders(raw, request.method === 'HEAD');
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
      this.#client.dispatch(
        {
          method,
          path: target,
          headers: request.headers as string[],
          body: body.length === 0 ? null : Buffer.from(body.buffer, body.byteOffset, body.length),
        },
        handler,
      );
    });
  }

  stop(): void {
    this.#process.kill('SIGKILL');
  }
}
