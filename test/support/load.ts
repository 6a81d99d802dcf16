/**
 * Clients of `accounts.mjs` that know every byte of every reply beforehand: each has an account of its own, and one
 * request in work at a time. Whatever else comes, or does not come, is a failure.
 */
import { Agent, type IncomingMessage, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const PATIENCE_MS = 60_000;
/** The front door's own, about the connection and the time. */
const OWN_HEADERS = new Set(['date', 'connection', 'keep-alive']);
const FAILURES_KEPT = 20;

interface Account {
  readonly name: string;
  readonly count: number;
  readonly sum: number;
}

interface Reply {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

export class Load implements AsyncDisposable {
  readonly failures: string[] = [];
  replies = 0;
  /** Milliseconds, since `mark`. */
  slowestMs = 0;
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #clients: Promise<void>[];
  #ended = false;

  /** `pauseMs`: between a reply and the next request of a client. */
  constructor(url: string, clients: number, pauseMs: number) {
    this.#url = url;
    this.#clients = Array.from({ length: clients }, (_, i) => this.#client(`client${i}`, pauseMs));
  }

  mark(): void {
    this.slowestMs = 0;
  }

  async #client(name: string, pauseMs: number): Promise<void> {
    let count = 0;
    let sum = 0;
    for (let turn = 1; !this.#ended; turn++) {
      const amount = turn % 4 === 0 ? null : (turn * 7919) % 1000;
      if (amount !== null) {
        count++;
        sum += amount;
      }
      const begun = performance.now();
      await this.#expect(name, amount, { name, count, sum });
      this.slowestMs = Math.max(this.slowestMs, performance.now() - begun);
      await delay(pauseMs);
    }
  }

  async #expect(name: string, amount: number | null, account: Account): Promise<void> {
    const body = JSON.stringify(account);
    const expected: Reply = {
      status: 200,
      headers: {
        'content-type': 'application/json',
        'x-count': String(account.count),
        'content-length': String(body.length),
      },
      body,
    };
    const method = amount === null ? 'GET' : 'POST';
    const got = await this.#ask(method, `/accounts/${name}`, amount === null ? '' : String(amount)).catch(
      String,
    );
    if (JSON.stringify(got) === JSON.stringify(expected)) this.replies++;
    else if (this.failures.length < FAILURES_KEPT) {
      this.failures.push(`${method} ${name}: ${JSON.stringify(got)} instead of ${JSON.stringify(expected)}`);
    }
  }

  #ask(method: string, path: string, body: string): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const call = request(`${this.#url}${path}`, { method, agent: this.#agent, timeout: PATIENCE_MS });
      call.on('timeout', () => call.destroy(new Error('no reply')));
      call.on('error', reject);
      call.on('response', (response: IncomingMessage) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const headers = Object.entries(response.headers).filter(([key]) => !OWN_HEADERS.has(key));
          const text = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode, headers: Object.fromEntries(headers), body: text });
        });
      });
      call.end(body);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
  }
}
