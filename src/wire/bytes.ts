/**
 * Reading and writing the few primitive shapes of Spare's binary encodings. Little endian; integers above 32 bits
 * are doubles (an index stays exact up to 2^53); strings are latin1, as HTTP headers are on the wire.
 *
 * B1. A reader never reads beyond its bytes: a short or oversized field throws `MalformedError`, which the gateway
 *     turns into a fault of the sender.
 */

export class MalformedError extends Error {}

/** The same bytes, not copied. */
export function asBuffer({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}

export class Reader {
  #at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) throw new MalformedError(`${length} bytes wanted at ${at}`);
    this.#at = at + length;
    return at;
  }

  u8(): number {
    return this.#bytes[this.#take(1)] ?? 0;
  }

  u16(): number {
    return this.#bytes.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  f64(): number {
    return this.#bytes.readDoubleLE(this.#take(8));
  }

  /** A whole number from 0 to 2^53 - 1. */
  integer(): number {
    const value = this.f64();
    if (!Number.isSafeInteger(value) || value < 0) throw new MalformedError(`not an index: ${value}`);
    return value;
  }

  latin1(length: number): string {
    const at = this.#take(length);
    return this.#bytes.toString('latin1', at, at + length);
  }

  /** A view, not a copy. */
  bytes(length: number): Buffer {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  rest(): Buffer {
    return this.bytes(this.left);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }
}

/** Fills one buffer of a size known beforehand; writing past its end is our own bug and throws a RangeError. */
export class Writer {
  readonly bytes: Buffer;
  #at = 0;

  /** A buffer to fill, or the size of a new one. */
  constructor(target: Buffer | number) {
    this.bytes = typeof target === 'number' ? Buffer.allocUnsafe(target) : target;
  }

  u8(value: number): this {
    this.#at = this.bytes.writeUInt8(value, this.#at);
    return this;
  }

  u16(value: number): this {
    this.#at = this.bytes.writeUInt16LE(value, this.#at);
    return this;
  }

  u32(value: number): this {
    this.#at = this.bytes.writeUInt32LE(value, this.#at);
    return this;
  }

  f64(value: number): this {
    this.#at = this.bytes.writeDoubleLE(value, this.#at);
    return this;
  }

  latin1(value: string): this {
    this.#at += this.bytes.write(value, this.#at, 'latin1');
    return this;
  }

  raw(value: Uint8Array): this {
    this.bytes.set(value, this.#at);
    this.#at += value.length;
    return this;
  }
}
