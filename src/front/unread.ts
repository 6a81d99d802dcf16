/**
 * Replies that clients have not taken yet: bounded all together, however slowly clients read.
 *
 * R1. When there is no room, the connection goes that has taken nothing for longest. One that reads on is served.
 */
import type { ServerResponse } from 'node:http';
import { Room } from './room.ts';

/** Sent one after the other, to see whether the client takes them; smaller ones take longer. */
const PIECE_BYTES = 256 * 1024;

/** The longest that a client may take nothing. Not shorter: the system, too, takes what is sent a megabyte at a time. */
const STALLED_MS = 60_000;

export class Unread {
  readonly #room: Room<ServerResponse>;

  constructor(bytesMax: number) {
    this.#room = new Room(bytesMax, cut);
  }

  /** Ends the response, whose turn has come (H4), with `body`, a part of `bytes` that are kept until then. */
  end(response: ServerResponse, body: Uint8Array, bytes: number): void {
    // What came with it, such as a large update, would be kept as well, and not counted.
    const kept = body.buffer.byteLength > 2 * body.length ? Buffer.from(body) : body;
    this.#room.hold(response, bytes);
    const stalled = setTimeout(cut, STALLED_MS, response).unref();
    response.once('close', () => {
      clearTimeout(stalled);
      this.#room.release(response);
    });
    this.#send(response, kept, stalled);
  }

  #send(response: ServerResponse, body: Uint8Array, stalled: NodeJS.Timeout): void {
    if (body.length <= PIECE_BYTES) return void response.end(body);
    response.write(body.subarray(0, PIECE_BYTES), (error) => {
      if (error) return;
      stalled.refresh();
      this.#room.cameOn(response);
      this.#send(response, body.subarray(PIECE_BYTES), stalled);
    });
  }
}

export function cut(response: ServerResponse): void {
  response.req.socket.destroy();
}
