/** What the load generator is told to do, and what it reports: messages between two processes. */
import type { Latency } from './statistics.ts';

export interface Step {
  /** The whole request, head and body. */
  readonly bytes: Uint8Array;
  /** Any other status is an error. */
  readonly status: number;
}

export interface Job {
  readonly port: number;
  /** One a connection, repeated until the time is over; a script that was begun is ended. */
  readonly scripts: readonly (readonly Step[])[];
  readonly seconds: number;
  readonly requestsMax: number;
  /** Between a response and the next request on the same connection. */
  readonly pauseMs: number;
  /**
   * Requests per second of all connections together, evenly; 0 for as many as get answers. A request that had to wait for the one
   * before it is late, and that counts.
   */
  readonly perSecond: number;
  /** Whether bodies must be the same each time, but for times and numbers that the service counts up. */
  readonly sameBodies: boolean;
  /** Whether the start and duration of each request are reported. */
  readonly trace: boolean;
  /** A text that no head of a response may contain, or nothing. */
  readonly forbidden: string;
}

/** Times are of the monotonic clock that all processes share, in milliseconds. */
export interface Trace {
  readonly starts: Float64Array;
  readonly durations: Float64Array;
}

export interface LoadResult {
  readonly requests: number;
  readonly errors: number;
  /** What the first error was, or nothing. */
  readonly firstError: string;
  readonly seconds: number;
  readonly latencyMs: Latency;
  /** Of the load generator itself. */
  readonly cpuSeconds: number;
  readonly trace: Trace | null;
}

export type ToLoad =
  | { readonly type: 'job'; readonly job: Job }
  | { readonly type: 'go' }
  /** Ends the job before its time. */
  | { readonly type: 'stop' };

export type FromLoad =
  | { readonly type: 'connected' }
  | { readonly type: 'result'; readonly result: LoadResult }
  | { readonly type: 'failed'; readonly message: string };

/** Milliseconds of the clock of `Trace`. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The bytes of a request. A body is sent as JSON. */
export function request(
  method: string,
  target: string,
  options: { token?: string; body?: unknown; headers?: Readonly<Record<string, string>> } = {},
): Uint8Array {
  const body = options.body === undefined ? '' : JSON.stringify(options.body);
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: 127.0.0.1', 'Accept: application/json'];
  for (const [name, value] of Object.entries(options.headers ?? {})) lines.push(`${name}: ${value}`);
  if (options.token !== undefined) lines.push(`Authorization: Token ${options.token}`);
  if (body !== '') lines.push('Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`);
  else if (method !== 'GET') lines.push('Content-Length: 0');
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
}
