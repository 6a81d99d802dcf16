/**
 * Frames on the channel between a manager and a replica's agent: `u32 length, u8 type, payload`. Sans-io: bytes
 * in, frames out.
 *
 * F1. A frame longer than the limit is an error as soon as its length is read: nothing of it is kept.
 * F2. At most one incomplete frame is buffered, in at most twice the bytes that came of it and a fixed amount, in however many
 *     pieces they came.
 */
import { MalformedError } from './bytes.ts';

export const FRAME_HEAD_BYTES = 5;

export interface Frame {
  readonly type: number;
  readonly payload: Buffer;
}

/** The head of a frame; payload parts may follow as buffers of their own. `payloadBytes` is their sum. */
export function frameHead(type: number, payloadBytes: number, extra = 0): Buffer {
  const head = Buffer.allocUnsafe(FRAME_HEAD_BYTES + extra);
  head.writeUInt32LE(payloadBytes, 0);
  head[4] = type;
  return head;
}

/** Up to this size, as of a chunk of a state, room for a frame is made at once; beyond, as it comes. */
const AT_ONCE_BYTES = 2 * 1024 * 1024;
const NOTHING = Buffer.alloc(0);

export class FrameReader {
  readonly #limit: number;
  /** What came of a frame that is not whole, head included, and room for more of it. */
  #room: Buffer = NOTHING;
  #have = 0;
  /** Bytes of that frame, as far as they are known: its head first. */
  #need = FRAME_HEAD_BYTES;

  /** `limit`: the largest payload in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** All frames that `chunk` completes, as views of it where they lie whole in it. Throws `MalformedError` on an oversized frame. */
  read(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#have === 0) {
        const bytes = rest.length < FRAME_HEAD_BYTES ? Infinity : this.#sizeOf(rest);
        if (rest.length >= bytes) {
          frames.push(frameIn(rest.subarray(0, bytes)));
          rest = rest.subarray(bytes);
          continue;
        }
      }
      const taken = Math.min(this.#need - this.#have, rest.length);
      this.#keep(rest.subarray(0, taken));
      rest = rest.subarray(taken);
      if (this.#have < this.#need) break;
      if (this.#need === FRAME_HEAD_BYTES) this.#need = this.#sizeOf(this.#room);
      if (this.#have < this.#need) continue;
      frames.push(frameIn(this.#room.subarray(0, this.#need)));
      this.#room = NOTHING;
      this.#have = 0;
      this.#need = FRAME_HEAD_BYTES;
    }
    return frames;
  }

  #sizeOf(head: Buffer): number {
    const length = head.readUInt32LE(0);
    if (length > this.#limit) throw new MalformedError(`a frame of ${length} bytes (limit ${this.#limit})`);
    return FRAME_HEAD_BYTES + length;
  }

  #keep(part: Buffer): void {
    const wanted = this.#have + part.length;
    if (this.#room.length < wanted) {
      const grown = Math.min(this.#need, Math.max(AT_ONCE_BYTES, 2 * wanted));
      const room = Buffer.allocUnsafe(grown);
      this.#room.copy(room, 0, 0, this.#have);
      this.#room = room;
    }
    part.copy(this.#room, this.#have);
    this.#have = wanted;
  }
}

function frameIn(bytes: Buffer): Frame {
  return { type: bytes[4] ?? 0, payload: bytes.subarray(FRAME_HEAD_BYTES) };
}
