import type { HttpReply } from '../wire/http.ts';

/** A reply of the agent's own, the same in every replica. */
export function refusal(status: number, text: string): HttpReply {
  return { status, headers: ['content-type', 'text/plain'], body: Buffer.from(text) };
}
