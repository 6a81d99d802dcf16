/**
 * Requests, refused or not, that came behind another one of their connection which is not answered: bounded all together, however
 * many clients send ahead.
 *
 * W1. When there is no room, the connection goes on which one has waited for longest.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { whenItsTurn } from '../connections.ts';
import { Room } from './room.ts';
import { cut } from './unread.ts';

/** What is kept of each. */
const REQUEST_BYTES = 4096;
/** The same of each name and each value of its headers, beside its characters: most are short. */
const TEXT_BYTES = 64;
const BYTES_MAX = 32 * 1024 ** 2;

export class Behind {
  readonly #room = new Room<ServerResponse>(BYTES_MAX, cut);

  /** Takes up one that has come. */
  add(response: ServerResponse): void {
    if (response.socket !== null) return;
    this.#room.hold(response, bytesOf(response.req));
    const release = (): void => this.#room.release(response);
    response.once('socket', release);
    response.once('close', release);
  }

  /** Calls `go` when it is its turn. `bodyBytes`: of its body, which is kept until then. */
  wait(response: ServerResponse, bodyBytes: number, go: () => void): void {
    if (response.socket === null) this.#room.hold(response, bytesOf(response.req) + bodyBytes);
    whenItsTurn(response, go);
  }
}

function bytesOf({ url = '', rawHeaders }: IncomingMessage): number {
  let bytes = REQUEST_BYTES + url.length;
  for (const text of rawHeaders) bytes += TEXT_BYTES + text.length;
  return bytes;
}
