/**
 * The service as the agent drives it: started once, asked one request at a time over its loopback port.
 *
 * V1. One request is in flight at a time, so that clock, randomness and state changes belong to one entry.
 * V2. What the service answers is passed on in one canonical encoding; a service that closes the connection
 *     before its answer is whole, or answers what is no HTTP, and lives on, gave the reply 502.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { HttpReply, HttpRequest } from '../wire/http.ts';
import type { Exchange } from './exchange.ts';
import { refusal } from './refusal.ts';
import { untilAtRest, wait } from './rest.ts';

const POLL_MS = 5;
/** Looking takes time away from a service that starts on the same processor, so the longer it takes the less often: of its time. */
const POLL_SHARE = 0.05;
/** Of the time that is left for a start: how long a service is waited for that works on after it listens, at most. One may never rest. */
const REST_SHARE = 0.5;
/** After a broken connection: how long its process may take to be seen as ended. */
const EXIT_GRACE_MS = 100;

/** One text for all of it: which of them it was depends on what came first, and copies must not differ. */
const UNREADABLE_TEXT =
  'The service closed the connection before its reply was whole, or its reply is no HTTP, or in a transfer coding other than chunked, or has headers above 16 KiB.\n';

export interface ServiceOptions {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly replyBytesMax: number;
}

/** Of the service's process; null while it runs. */
interface Ending {
  why: string | null;
}

export class Service {
  readonly #options: ServiceOptions;
  readonly #ending: Ending;
  readonly #exchange: Exchange;

  private constructor(options: ServiceOptions, ending: Ending, exchange: Exchange) {
    this.#options = options;
    this.#ending = ending;
    this.#exchange = exchange;
  }

  /** Resolves when the service listens and has come to rest. Throws an Error that says why it does not. */
  static async start(options: ServiceOptions, onEnd: (why: string) => void): Promise<Service> {
    const [command = '', ...args] = options.command;
    const beganMs = performance.now();
    const child = spawn(command, args, {
      cwd: options.folder,
      env: { ...options.env, PORT: String(options.port) },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const ending = watch(child);
    // What speaks HTTP is half of what the agent loads: while the service starts, not before.
    const { Exchange, warmUp } = await import('./exchange.ts');
    const service = new Service(options, ending, new Exchange(options.port, options.replyBytesMax));
    await Promise.all([service.#listening(), warmUp()]);
    const nowMs = performance.now();
    const leftMs = beganMs + options.timeoutMs - nowMs;
    if (child.pid !== undefined) await untilAtRest(child.pid, nowMs + REST_SHARE * leftMs);
    service.#throwIfEnded();
    child.once('exit', () => onEnd(ending.why ?? 'ended'));
    return service;
  }

  async #listening(): Promise<void> {
    const { command, port, timeoutMs } = this.#options;
    const name = command.join(' ');
    const beganMs = performance.now();
    for (;;) {
      if (await this.#reachable()) return;
      if (this.#ending.why !== null)
        throw new Error(`The service ended before it listened: \`${name}\`: ${this.#ending.why}.`);
      if (performance.now() - beganMs > timeoutMs) {
        throw new Error(
          `The service did not listen on port ${port} ($PORT) within ${timeoutMs / 1000} s: \`${name}\`.`,
        );
      }
      await delay(Math.max(POLL_MS, POLL_SHARE * (performance.now() - beganMs)));
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
      return await this.#exchange.ask(request);
    } catch {
      await wait(EXIT_GRACE_MS);
      this.#throwIfEnded();
      return refusal(502, UNREADABLE_TEXT);
    }
  }

  #throwIfEnded(): void {
    const { why } = this.#ending;
    if (why !== null) throw new Error(`The service ended: ${why}.`);
  }
}

function watch(child: ChildProcess): Ending {
  const ending: Ending = { why: null };
  child.once('error', (error) => (ending.why = error.message));
  child.once('exit', (code, signal) => {
    ending.why ??= signal === null ? `exit status ${code}` : `killed by ${signal}`;
  });
  return ending;
}
