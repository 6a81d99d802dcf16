/**
 * Is what a client sees of a service the same through Spare as without it, and what the service sees of the client, too? Asks
 * the same of both, at random, and compares what came byte by byte.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { exchange } from '../src/front/testing.ts';
import { SERVICES, Spare } from './support/spare.ts';

const METHODS = 'GET HEAD POST PUT PATCH DELETE OPTIONS TRACE QUERY PURGE LOCK'.split(' ');
const STATUSES = [
  200, 201, 203, 204, 205, 206, 226, 301, 304, 308, 400, 401, 404, 412, 416, 418, 429, 451, 500, 503,
];

/** Belongs to a connection, of which there are two here; or tells the time. */
const OWN = /^(connection|keep-alive|date|transfer-encoding|content-length)$/i;
/** Of a request: what Spare writes. */
const WRITTEN = /^(host|x-forwarded-for)$/i;

/** Several of a kind, in several cases; what intermediaries might look at. */
const NAMES =
  'Set-Cookie set-cookie X-A x-a Vary ETag Range Content-Range Content-Type Content-Encoding'.split(' ');
const name = fc.oneof(
  fc.constantFrom(...NAMES, 'Cookie', 'Authorization', 'If-None-Match', 'Accept-Encoding', 'Location', 'Age'),
  fc
    .string({ unit: fc.constantFrom(...Array.from("!#$%&'*+-.^_`|~09AZaz")), maxLength: 9 })
    .map((end) => `X${end}`),
);
const latin1 = fc.nat(255).map((code) => String.fromCodePoint(code));
const value = fc
  .string({ unit: latin1.filter((text) => /[\t\x20-\x7e\x80-\xff]/.test(text)), maxLength: 30 })
  .map((text) => text.replace(/^[\t ]+|[\t ]+$/g, ''));
const headers = fc.array(fc.tuple(name, value), { maxLength: 8 }).map((pairs) => pairs.flat());
const body = fc.string({ unit: latin1, maxLength: 300 });
const path = fc.string({
  unit: fc.constantFrom(...Array.from('az09/?&=%.;:@!$\'()*+,-_~|"<>{}^`\\[]#')),
  maxLength: 60,
});

const asked = fc.record({
  method: fc.constantFrom(...METHODS),
  path,
  headers,
  body,
  /** How long its chunks are; null if it comes in one piece, and tells its length. */
  chunk: fc.option(fc.integer({ min: 1, max: 100 })),
  reply: fc.record({ status: fc.constantFrom(...STATUSES), headers, body, chunked: fc.boolean() }),
});
type Asked = typeof asked extends fc.Arbitrary<infer T> ? T : never;

function raw({ method, path, headers, body, chunk, reply }: Asked): Buffer {
  const told = Buffer.from(JSON.stringify(reply)).toString('base64');
  const own = headers.map((part, i) => (i % 2 === 0 ? `${part}: ` : `${part}\r\n`)).join('');
  const head = `${method} /${path} HTTP/1.1\r\nHost: mirror.test\r\n${own}X-Reply: ${told}\r\nConnection: close\r\n`;
  if (chunk === null) return Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n${body}`, 'latin1');
  let coded = '';
  for (let at = 0; at < body.length; at += chunk) {
    const piece = body.slice(at, at + chunk);
    coded += `${piece.length.toString(16)};a=b\r\n${piece}\r\n`;
  }
  return Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n${coded}0\r\nX-Trailer: t\r\n\r\n`, 'latin1');
}

function dechunked(text: string): string {
  const size = Number.parseInt(text, 16);
  const from = text.indexOf('\r\n') + 2;
  return size > 0 ? text.slice(from, from + size) + dechunked(text.slice(from + size + 2)) : '';
}

function without(headers: readonly string[], names: RegExp): string[] {
  return headers.filter((_, i) => !names.test(headers[i - (i % 2)] ?? ''));
}

interface Saw {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly string[];
  readonly body: string;
}

/** What client and service got to see, of a whole raw reply. */
function seen(reply: string, toHead: boolean): { client: unknown; service: unknown } {
  const end = reply.indexOf('\r\n\r\n');
  const [status = '', ...lines] = reply.slice(0, end).split('\r\n');
  const got = lines.flatMap((line) => line.split(/: (.*)/s, 2));
  const [, saw = ''] = got.splice(got.indexOf('X-Saw'), 2);
  const { headers: came, ...asked } = JSON.parse(Buffer.from(saw, 'base64').toString()) as Saw;
  const body = reply.slice(end + 4);
  const coded = lines.includes('Transfer-Encoding: chunked') && !toHead;
  return {
    client: {
      status: status.slice(0, 'HTTP/1.1 200'.length),
      headers: without(got, OWN),
      length: toHead
        ? lines.find((line) => /^content-length/i.test(line))?.slice('Content-Length'.length)
        : null,
      body: coded ? dechunked(body) : body,
    },
    service: { ...asked, headers: without(without(came, OWN), WRITTEN) },
  };
}

/** The service by itself; resolves with its port once it listens. */
async function bare(stack: AsyncDisposableStack): Promise<number> {
  const child = spawn('node', [join(SERVICES, 'mirror.mjs')], {
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  stack.defer(() => void child.kill());
  const [port] = (await once(child.stdout, 'data')) as [Buffer];
  return Number(port);
}

test('P1: client and service see of each other through Spare what they see without it', async () => {
  await using stack = new AsyncDisposableStack();
  const spare = await stack
    .use(new Spare({ folder: SERVICES, command: ['node', 'mirror.mjs'], state: [] }))
    .start();
  const [through, without] = [Number(new URL(spare.url).port), await bare(stack)];
  await fc.assert(
    fc.asyncProperty(asked, async (request) => {
      const text = raw(request);
      const toHead = request.method === 'HEAD';
      const [one, other] = await Promise.all([exchange(through, text), exchange(without, text)]);
      assert.deepEqual(seen(one, toHead), seen(other, toHead));
    }),
    { numRuns: 200 },
  );
  assert.deepEqual(await spare.incidents(), []);
});
