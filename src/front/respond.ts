/** What a client gets of a verdict: the agreed reply, or in plain text why there is none. */
import type { ServerResponse } from 'node:http';
import type { Verdict } from '../manager/in-work.ts';
import { MalformedError } from '../wire/bytes.ts';
import { decodeReply, type HttpReply, namesLength } from '../wire/http.ts';
import { refuse } from './refuse.ts';
import type { Unread } from './unread.ts';

const SKIPPED_TEXT = {
  'no-agreement': [
    'The replicas of the service do not agree on a reply to this request',
    'it had no effect.',
  ],
  poison: [
    'This request ended every replica that executed it',
    'it had no effect and is not executed again.',
  ],
  timeout: ['The service did not answer this request in time', 'it had no effect.'],
} as const;

const FORGOTTEN_TEXT =
  'No reply to the first request with this Idempotency-Key is kept; the request is not executed again.';

/** Ends the response with it. */
export function respond(unread: Unread, response: ServerResponse, verdict: Verdict): void {
  switch (verdict.type) {
    case 'reply':
      return reply(unread, response, verdict);
    case 'skipped':
      return refuse(response, 502, skippedText(verdict));
    case 'key-reused':
      return refuse(response, 422, 'This Idempotency-Key was used for another request.');
    case 'forgotten':
      return refuse(response, 502, FORGOTTEN_TEXT);
  }
}

function skippedText({ reason, hint }: Extract<Verdict, { type: 'skipped' }>): string {
  const [what, effect] = SKIPPED_TEXT[reason];
  return `${what}${hint === '' ? '' : ` (${hint})`}; ${effect}`;
}

let dateSecond = -1;
let dateText = '';

/** The agreed time of the entry, so that a reply is the same whoever sends it. */
function dateHeader(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}

function reply(
  unread: Unread,
  response: ServerResponse,
  { bytes, timeMs }: Extract<Verdict, { type: 'reply' }>,
): void {
  let decoded: HttpReply;
  try {
    decoded = decodeReply(bytes);
    if (response.req.method !== 'HEAD' && namesLength(decoded))
      throw new MalformedError('a length of its own');
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return refuse(response, 502, `The service's reply is not valid HTTP: ${error.message}.`);
  }
  const { status, headers, body } = decoded;
  const out = [...headers, 'date', dateHeader(timeMs)];
  const bodiless = response.req.method === 'HEAD' || status === 204 || status === 304;
  if (!bodiless) out.push('content-length', String(body.length));
  response.writeHead(status, out);
  unread.end(response, bodiless ? Buffer.alloc(0) : body, bytes.length);
}
