/**
 * Bodies that have not come whole: bounded all together, however slowly clients send.
 *
 * C1. When there is no room, the one is refused that has been coming for longest. One that comes faster is taken.
 */
import type { ServerResponse } from 'node:http';
import { Gathered } from './gathered.ts';
import { refuse } from './refuse.ts';
import { Room } from './room.ts';

const TOO_SLOW_TEXT = 'Too much is being sent, and this body has been coming for longest.';

export function bodyLimitText(bytes: number): string {
  return `The request's body is larger than the limit of ${bytes} bytes.`;
}

/** Refuses a request whose body is coming. */
type Drop = (status: number, text: string) => void;

export class Coming {
  readonly #room: Room<Drop>;
  readonly #limit: number;

  /** `limit`: the largest body, in bytes. */
  constructor(bytesMax: number, limit: number) {
    this.#room = new Room(bytesMax, (drop) => drop(503, TOO_SLOW_TEXT));
    this.#limit = limit;
  }

  /** Calls `whole` once the body has come, unless the request is refused, or its client leaves, before that. */
  take(response: ServerResponse, whole: (body: Buffer) => void): void {
    const { req: request } = response;
    let body: Gathered | null = new Gathered(Number(request.headers['content-length'] ?? this.#limit));
    const drop: Drop = (status, text) => {
      body = null;
      this.#room.release(drop);
      refuse(response, status, text);
    };
    request.on('data', (chunk: Buffer) => {
      if (body === null) return;
      if (body.length + chunk.length > this.#limit) return drop(413, bodyLimitText(this.#limit));
      body.add(chunk);
      this.#room.hold(drop, body.bytesHeld);
    });
    request.on('end', () => {
      this.#room.release(drop);
      const all = body?.bytes();
      body = null;
      if (all !== undefined) whole(all);
    });
    request.on('close', () => this.#room.release(drop));
    request.on('error', () => {});
  }
}
