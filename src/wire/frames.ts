/**
 * Frames on the channel between a manager and a replica's agent: `u32 length, u8 type, payload`. Sans-io: bytes
 * in, frames out.
 *
 * F1. A frame longer than the limit is an error as soon as its length is read: nothing of it is kept.
 * F2. At most one incomplete frame is buffered.
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

export class FrameReader {
  readonly #limit: number;
  #parts: Buffer[] = [];
  #have = 0;
  /** Bytes of the frame being read, head included; 0 while the head itself is incomplete. */
  #need = 0;

  /** `limit`: the largest payload in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** All frames that `chunk` completes. Throws `MalformedError` on an oversized frame. */
  read(chunk: Buffer): Frame[] {
    this.#parts.push(chunk);
    this.#have += chunk.length;
    const frames: Frame[] = [];
    for (;;) {
      if (this.#need === 0) {
        if (this.#have < FRAME_HEAD_BYTES) return frames;
        const length = this.#joined().readUInt32LE(0);
        if (length > this.#limit)
          throw new MalformedError(`a frame of ${length} bytes (limit ${this.#limit})`);
        this.#need = FRAME_HEAD_BYTES + length;
      }
      if (this.#have < this.#need) return frames;
      const bytes = this.#joined();
      frames.push({ type: bytes[4] ?? 0, payload: bytes.subarray(FRAME_HEAD_BYTES, this.#need) });
      this.#parts = [bytes.subarray(this.#need)];
      this.#have -= this.#need;
      this.#need = 0;
    }
  }

  /** Joined once a frame, not once a chunk: a large frame costs one copy. */
  #joined(): Buffer {
    const [first] = this.#parts;
    if (this.#parts.length === 1 && first !== undefined) return first;
    const joined = Buffer.concat(this.#parts, this.#have);
    this.#parts = [joined];
    return joined;
  }
}
